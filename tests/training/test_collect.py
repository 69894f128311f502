"""Papers from PeerRead, OpenReview and files, and none of the benchmark among those to train on."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import SHARED
from tests.training.collecting import collected
from tests.training.peerread import BODY, add_paper, iclr_review
from training.errors import InputInvalid, InputMissing
from training.rows import blinded_paper, title_key
from training.sources.peerread import URL, without_line_numbers

NEURIPS = SHARED / "data" / "neurips2025"


def peerread(clone: Path, venues: list[str], splits: list[str]) -> dict[str, Any]:
    return {"kind": "peerread", "clone": str(clone), "venues": venues, "splits": splits}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Three papers to train on, two of ICLR's benchmark, one each of ACL's and CoNLL's."""
    clone = tmp_path / "PeerRead"
    for name, accepted in (("304", True), ("305", False)):
        reviews = [iclr_review(8, "Good."), iclr_review(5, "So-so."), iclr_review(None, "Why?")]
        add_paper(clone, "iclr_2017", "train", name, accepted=accepted, reviews=reviews)
    add_paper(clone, "iclr_2017", "train", "306", accepted=True, title="A Paper, both here & there")
    add_paper(clone, "iclr_2017", "dev", "400", accepted=True)
    add_paper(clone, "iclr_2017", "test", "401", title="A paper both here & there", accepted=False)
    strings = {"comments": "Fine.", "RECOMMENDATION": "4", "is_meta_review": None, "CLARITY": "3"}
    add_paper(clone, "acl_2017", "dev", "12", reviews=[strings])
    add_paper(clone, "conll_2016", "test", "7", reviews=[strings])
    return clone


BENCHMARK = (["iclr_2017", "acl_2017", "conll_2016"], ["dev", "test"])


def with_all_splits(clone: Path) -> Path:
    for venue in BENCHMARK[0]:
        for split in BENCHMARK[1]:
            (clone / "data" / venue / split / "reviews").mkdir(parents=True, exist_ok=True)
            (clone / "data" / venue / split / "parsed_pdfs").mkdir(parents=True, exist_ok=True)
    return clone


def test_no_paper_of_the_benchmark_is_among_those_to_train_on(tmp_path: Path, clone: Path) -> None:
    with_all_splits(clone)
    manifest, papers, benchmark, rejected = collected(
        tmp_path, [peerread(clone, ["iclr_2017"], ["train"])], [peerread(clone, *BENCHMARK)]
    )
    assert len(benchmark) == 4
    assert not {title_key(p.title) for p in papers.values()} & {
        title_key(p.title) for p in benchmark.values()
    }
    assert list(papers) == ["peerread/iclr_2017/304", "peerread/iclr_2017/305"]
    assert [(row.id, row.reason) for row in rejected] == [
        ("peerread/iclr_2017/306", "in_benchmark")
    ]
    assert manifest.counts["left out: in_benchmark"] == 1


def test_a_row_says_where_it_comes_from_what_was_decided_and_how_it_was_rated(
    tmp_path: Path, clone: Path
) -> None:
    with_all_splits(clone)
    _, papers, benchmark, _ = collected(
        tmp_path, [peerread(clone, ["iclr_2017"], ["train"])], [peerread(clone, *BENCHMARK)]
    )
    accepted = papers["peerread/iclr_2017/304"]
    assert (accepted.source, accepted.venue, accepted.split) == ("peerread", "iclr_2017", "train")
    assert (accepted.decision, accepted.decision_source) == ("accept", "PeerRead's 'accepted'")
    assert accepted.ratings == (8.0, 5.0)
    assert accepted.rating_scale == (1.0, 10.0)
    assert accepted.mean_rating == 6.5
    assert papers["peerread/iclr_2017/305"].decision == "reject"
    draft = benchmark["peerread/acl_2017/12"]
    assert (draft.decision, draft.ratings, draft.rating_scale) == (None, (4.0,), (1.0, 5.0))
    assert draft.reviews[0].scores == {"clarity": 3.0}


def test_a_meta_review_and_the_committees_decision_are_no_ratings(tmp_path: Path) -> None:
    reviews = [
        iclr_review(9, "Copied from a reviewer.", IS_META_REVIEW=True),
        iclr_review(None, "We accept it.", TITLE="ICLR committee final decision"),
        iclr_review(9, "Copied from a reviewer."),
        iclr_review(9, "Copied from a reviewer."),
        iclr_review(3, "Weak."),
    ]
    add_paper(tmp_path / "c", "iclr_2017", "train", "1", accepted=True, reviews=reviews)
    _, papers, _, _ = collected(tmp_path, [peerread(tmp_path / "c", ["iclr_2017"], ["train"])])
    (paper,) = papers.values()
    assert paper.ratings == (9.0, 3.0)
    assert [review.meta for review in paper.reviews] == [True, True, False, False]


def test_what_is_no_paper_is_kept_with_its_reason(tmp_path: Path) -> None:
    clone = tmp_path / "c"
    add_paper(clone, "iclr_2017", "train", "1", accepted=True)
    add_paper(clone, "iclr_2017", "train", "2", accepted=True, parsed=False)
    add_paper(clone, "iclr_2017", "train", "3", accepted=True, sections=[("1 INTRO", " \n")])
    add_paper(clone, "iclr_2017", "train", "4", title="PAPER 1 -- of ICLR_2017!")
    _, papers, _, rejected = collected(tmp_path, [peerread(clone, ["iclr_2017"], ["train"])])
    assert list(papers) == ["peerread/iclr_2017/1"]
    assert [(row.id[-1], row.reason) for row in rejected] == [
        ("2", "no_parsed_pdf"),
        ("3", "no_text"),
        ("4", "duplicate_title"),
    ]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("000\n011\n012\n013\nThe ability", "The ability"),
        ("1 000\n011\n012\nThe ability", "The ability"),
        ("on the tempo-\n2\n100\n101\n102\nral side", "on the temporal side"),
        ("we look at\n3\n200\n201\n202\nwords.", "we look at words."),
        ("The end.\n4\n300\n301\n302\nA start.", "The end.\nA start."),
        ("In 2016\n2017\nthe task", "In 2016\n2017\nthe task"),
        ("year\n2012\n2013\n2014\nbest", "year\n2012\n2013\n2014\nbest"),
        ("size\n100\n200\n300\nloss", "size\n100\n200\n300\nloss"),
        ("rank\n1\n2\n3\nname", "rank\n1\n2\n3\nname"),
        ("pre-\n" + "\n".join(map(str, range(1000, 1012))) + "\ntrained", "pretrained"),
        ("the set of 3\n1 2 3\n4 5 6\nrows", "the set of 3\n1 2 3\n4 5 6\nrows"),
    ],
)
def test_line_numbers_of_drafts_are_cleaned(text: str, clean: str) -> None:
    assert without_line_numbers(text) == clean


def test_half_a_pair_of_surrogates_is_replaced(tmp_path: Path) -> None:
    clone = tmp_path / "c"
    add_paper(clone, "iclr_2017", "train", "1", title="On \ud835 and \U0001d400", accepted=True)
    path = tmp_path / "papers.jsonl"
    path.write_bytes(neurips_line("b", accepted=True).replace(b"We do.", rb"We do \udc00."))
    sources = [peerread(clone, ["iclr_2017"], ["train"]), jsonl(path)]
    _, papers, _, _ = collected(tmp_path, sources)
    one, other = papers.values()
    assert one.title == "On \ufffd and \U0001d400"
    assert other.abstract == "We do \ufffd."


def test_a_draft_is_blinded_as_the_service_blinds(tmp_path: Path) -> None:
    clone = tmp_path / "c"
    numbers = "\n".join(f"{n:03}" for n in range(50))
    authors = "Ann Author\nUniversity of Y\nann@y.edu"
    torn = f"We look at the tempo-\n2\n{numbers}\nral side.\nMail ann@y.edu for it."
    sections = [
        (None, f"Under review as a conference paper\n1 {numbers}\n{authors}"),
        ("1 Introduction", torn),
        ("2 Method", "Published as a conference paper at ICLR 2017\nWe count."),
        ("Acknowledgments", "We thank Bob."),
    ]
    add_paper(clone, "acl_2017", "dev", "1", sections=sections)
    _, papers, _, _ = collected(tmp_path, [peerread(clone, ["acl_2017"], ["dev"])])
    blind = blinded_paper(papers["peerread/acl_2017/1"])
    assert [(section.heading, section.text) for section in blind.sections] == [
        ("1 Introduction", "We look at the temporal side.\n\nMail  for it."),
        ("2 Method", "We count."),
    ]


def test_a_folder_that_is_no_clone_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="No such file"):
        collected(tmp_path, [peerread(tmp_path / "nowhere", ["iclr_2017"], ["train"])])


def test_a_clone_is_made_where_none_is_named(
    tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clone / "data" / "iclr_2017" / "train" / "pdfs" / "304.pdf").write_bytes(b"%PDF")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "PeerRead")):
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        subprocess.run(("git", "-C", clone, *who, *command), check=True)
    _git_finds(monkeypatch, clone)
    source = {"kind": "peerread", "venues": ["iclr_2017"], "splits": ["train"]}
    _, papers, _, _ = collected(tmp_path, [source])
    assert len(papers) == 3
    cloned = tmp_path / "out" / "collect" / "PeerRead" / "data" / "iclr_2017" / "train"
    assert sorted(entry.name for entry in cloned.iterdir()) == ["parsed_pdfs", "reviews"]


def test_a_clone_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _git_finds(monkeypatch, tmp_path / "nowhere")
    source = {"kind": "peerread", "venues": ["iclr_2017"], "splits": ["train"]}
    with pytest.raises(InputMissing, match=r"can't be cloned .* set the folder in the recipe"):
        collected(tmp_path, [source])


def _git_finds(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    """Have git look there instead of at GitHub."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{repository.as_uri()}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", URL)


def test_a_damaged_file_of_the_clone_is_named(tmp_path: Path, clone: Path) -> None:
    file = clone / "data" / "iclr_2017" / "train" / "parsed_pdfs" / "304.pdf.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(InputInvalid, match=r"304\.pdf\.json"):
        collected(tmp_path, [peerread(clone, ["iclr_2017"], ["train"])])


def jsonl(path: Path) -> dict[str, Any]:
    return {"kind": "jsonl", "path": str(path)}


def neurips_line(name: str, *, accepted: bool, **more: Any) -> bytes:
    row = {
        "id": name,
        "venue": "NeurIPS 2025",
        "title": f"On {name}",
        "abstract": "We do.",
        "accepted": accepted,
        "sections": [{"heading": "1 Introduction", "text": BODY}],
        "reviews": [
            {"meta": False, "text": "SUMMARY:\nIt does.", "recommendation": 4, "clarity": 3},
            {"meta": True, "text": "DECISION:\nAccept"},
        ],
    }
    return msgspec.json.encode(row | more) + b"\n"


def test_a_file_is_drawn_from_evenly_by_decision_and_the_same_for_a_seed(tmp_path: Path) -> None:
    path = tmp_path / "papers.jsonl"
    path.write_bytes(b"".join(neurips_line(f"p{n}", accepted=n >= 3) for n in range(20)))
    source = {"kind": "jsonl", "path": str(path), "most": 8}
    _, papers, _, _ = collected(tmp_path, [source])
    assert len(papers) == 8
    assert sum(paper.decision == "reject" for paper in papers.values()) == 3
    (tmp_path / "other").mkdir()
    assert collected(tmp_path / "other", [source])[1] == papers
    assert next(iter(papers.values())).ratings == (4.0,)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda line: line + line[:200], r"papers\.jsonl, line 2: the line is truncated"),
        (
            lambda line: line + line[:200] + b"\n",
            r"papers\.jsonl, line 2: JSON is malformed",
        ),
        (
            lambda line: line + neurips_line("b", accepted=True, titel="x"),
            r"line 2: Object contains unknown field `titel`",
        ),
        (
            lambda line: line + neurips_line("b", accepted="yes"),  # type: ignore[arg-type]
            r"line 2: Expected `bool \| null`, got `str` - at `\$\.accepted`",
        ),
    ],
)
def test_a_damaged_line_is_named_and_nothing_is_written(
    tmp_path: Path, damage: Any, told: str
) -> None:
    path = tmp_path / "papers.jsonl"
    path.write_bytes(damage(neurips_line("a", accepted=True)))
    with pytest.raises(InputInvalid, match=told):
        collected(tmp_path, [{"kind": "jsonl", "path": str(path)}])
    assert not (tmp_path / "out" / "collect" / "papers.jsonl").exists()


def test_the_real_files_have_no_paper_in_common(tmp_path: Path) -> None:
    if not NEURIPS.is_dir():
        pytest.skip("the NeurIPS data is not beside this checkout")
    train, test = (
        {"kind": "jsonl", "path": str(NEURIPS / f"{split}.jsonl.gz"), "split": split}
        for split in ("train", "test")
    )
    manifest, papers, benchmark, _ = collected(tmp_path, [train, test], [test])
    assert not {title_key(p.title) for p in papers.values()} & {
        title_key(p.title) for p in benchmark.values()
    }
    assert manifest.counts["left out: in_benchmark"] == len(benchmark) == 70
    assert len(papers) == 666
