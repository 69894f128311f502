"""Which reviews become targets, why the others don't, and how they are split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SHARED
from tests.training.recipes import recipe_file
from training.collect import STAGE as COLLECT
from training.errors import InputInvalid
from training.filter import STAGE, balanced
from training.jsonl import read_rows, write_rows
from training.manifest import Manifest
from training.rows import HumanReview, PaperRow, Rejected, ReviewRow, SectionRow, TaughtRow
from training.stage import Job, Stage, run_stage
from training.stub_teacher import stub_review

NEURIPS = SHARED / "data" / "neurips2025"
HUMAN = """SUMMARY:
The paper {name} counts tokens once and is fast.

STRENGTHS AND WEAKNESSES:
Strengths:
- The problem is old.
Weaknesses:
- One comparison is missing.

QUESTIONS:
Why?"""


def paper(name: str, *, accepted: bool = True, reviews: Sequence[HumanReview] = ()) -> PaperRow:
    return PaperRow(
        id=name,
        source="jsonl",
        venue="NeurIPS 2025",
        split="train",
        title=f"On {name}",
        abstract="We do.",
        sections=(SectionRow(heading="1 Introduction", text="Words of a paper."),),
        decision="accept" if accepted else "reject",
        decision_source="made up",
        ratings=(),
        rating_scale=(1, 6),
        reviews=tuple(reviews),
    )


def human(name: str, rating: float, more: str = "") -> HumanReview:
    return HumanReview(text=HUMAN.format(name=name) + more, rating=rating)


def taught(name: str, text: str, finish_reason: str = "stop") -> TaughtRow:
    return TaughtRow(
        paper=name,
        prompt_sha256=name,
        teacher="stub",
        text=text,
        finish_reason=finish_reason,
        prompt_tokens=1,
        completion_tokens=1,
        thinking_tokens=0,
    )


def lay(folder: Path, papers: list[PaperRow], reviews: list[TaughtRow]) -> None:
    """What the stages before would leave."""

    def collect(job: Job) -> dict[str, int]:
        return {"papers": write_rows(job.folder / "papers.jsonl", papers)}

    def teach(job: Job) -> dict[str, int]:
        return {"reviews": write_rows(job.folder / "reviews.jsonl", reviews)}

    recipe = recipe_file(folder)
    run_stage(
        Stage("collect", ["collect"], lambda _: [], lambda _: ["papers.jsonl"], collect), recipe
    )
    run_stage(Stage("teach", ["teach"], lambda _: [], lambda _: ["reviews.jsonl"], teach), recipe)


def filtered(folder: Path, **options: Any) -> tuple[Manifest, list[ReviewRow], list[ReviewRow]]:
    section = {"targets": "teacher", "val_fraction": 0.25, "least_words": 10} | options
    teach = {"provider": "stub", "model": "stub"}
    manifest = run_stage(STAGE, recipe_file(folder, filter=section, teach=teach))
    out = folder / "out" / "filter"
    return (
        manifest,
        list(read_rows(out / "train.jsonl", ReviewRow)),
        list(read_rows(out / "val.jsonl", ReviewRow)),
    )


def rejected(folder: Path) -> list[Rejected]:
    return list(read_rows(folder / "out" / "filter" / "rejected.jsonl", Rejected))


GOOD = stub_review("Title: Some paper")
BOTH = f"{GOOD}\nI recommend this paper for ACCEPTANCE. I recommend this paper for"
WITHOUT = GOOD.rpartition("\n")[0]


@pytest.mark.parametrize(
    ("ending", "decision"),
    [
        ("I recommend this paper for ACCEPTANCE.", "accept"),
        ("I recommend this paper for REJECTION.", "reject"),
        ("I recommend this paper for REJECTION", "reject"),
        ("**I recommend this paper for ACCEPTANCE.**\n\n", "accept"),
        ("I recommend this paper for acceptance.", "accept"),
    ],
)
def test_one_stated_decision_makes_a_target_that_ends_with_it(
    tmp_path: Path, ending: str, decision: str
) -> None:
    papers = [paper(str(n)) for n in range(4)]
    others = [taught(str(n), stub_review(f"Title: {n}")) for n in range(1, 4)]
    lay(tmp_path, papers, [taught("0", f"{WITHOUT}\n{ending}"), *others])
    _, train, val = filtered(tmp_path)
    (row,) = [row for row in (*train, *val) if row.paper == "0"]
    word = "ACCEPTANCE" if decision == "accept" else "REJECTION"
    assert row.decision == decision
    assert row.text == f"{WITHOUT}\nI recommend this paper for {word}."
    assert row.official == "accept"


def test_what_stands_before_the_verdict_in_its_line_stays(tmp_path: Path) -> None:
    text = f"{WITHOUT}\nAll in all it is good. **I recommend this paper for ACCEPTANCE.**"
    others = [taught(str(n), stub_review(f"Title: {n}")) for n in range(1, 4)]
    lay(tmp_path, [paper(str(n)) for n in range(4)], [taught("0", text), *others])
    _, train, val = filtered(tmp_path)
    (row,) = [row for row in (*train, *val) if row.paper == "0"]
    assert row.text == (
        f"{WITHOUT}\nAll in all it is good.\nI recommend this paper for ACCEPTANCE."
    )


@pytest.mark.parametrize(
    ("text", "finish_reason", "reason"),
    [
        ("", "refusal", "empty"),
        ("I'm sorry, but I can't review this paper.", "stop", "refused"),
        (WITHOUT, "stop", "no_decision"),
        (WITHOUT, "length", "cut_off"),
        (WITHOUT, "max_tokens", "cut_off"),
        (f"{BOTH} REJECTION.", "stop", "two_decisions"),
        (f"{WITHOUT}\nI recommend this paper for ACCEPTANCE or REJECTION.", "stop", "no_decision"),
        (f"{GOOD}\n\nMore to say.", "stop", "verdict_not_last"),
        (stub_review("Title: 1"), "stop", "duplicate_text"),
    ],
)
def test_everything_else_is_kept_with_its_reason(
    tmp_path: Path, text: str, finish_reason: str, reason: str
) -> None:
    papers = [paper(str(n)) for n in range(6)]
    others = [taught(str(n), stub_review(f"Title: {n}")) for n in range(1, 6)]
    lay(tmp_path, papers, [*others, taught("0", text, finish_reason)])
    manifest, train, val = filtered(tmp_path)
    (left_out,) = rejected(tmp_path)
    assert (left_out.paper, left_out.reason, left_out.text) == ("0", reason, text)
    assert manifest.counts[f"teacher, left out: {reason}"] == 1
    assert len(train) + len(val) == 5


def test_people_and_teacher_can_both_be_targets(tmp_path: Path) -> None:
    papers = [paper(str(n), reviews=[human(str(n), 5)]) for n in range(8)]
    lay(tmp_path, papers, [taught(str(n), stub_review(f"Title: {n}")) for n in range(8)])
    manifest, train, val = filtered(tmp_path, targets=["human", "teacher"])
    assert {row.source for row in train} == {"teacher", "human"}
    assert manifest.counts["human, read"] == manifest.counts["teacher, read"] == 8
    assert len(train) + len(val) == 16


def test_the_split_is_by_paper_and_the_same_for_a_seed(tmp_path: Path) -> None:
    papers = [
        paper(
            str(n),
            accepted=n % 2 == 0,
            reviews=[human(f"{n}{m}", 5 if n % 2 == 0 else 2) for m in "ab"],
        )
        for n in range(20)
    ]
    found = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        lay(folder, papers, [])
        found.append(filtered(folder, targets="human")[1:])
    train, val = found[0]
    assert found[0] == found[1]
    assert not {row.paper for row in train} & {row.paper for row in val}
    assert {row.decision for row in val} == {"accept", "reject"}
    assert len(val) / (len(train) + len(val)) == pytest.approx(0.25, abs=0.06)


def test_decisions_are_balanced_and_the_surplus_is_told(tmp_path: Path) -> None:
    accepted = [paper(f"a{n}", reviews=[human(f"a{n}{m}", 5) for m in "xyz"]) for n in range(6)]
    others = [paper(f"r{n}", accepted=False, reviews=[human(f"r{n}", 2)]) for n in range(4)]
    lay(tmp_path, accepted + others, [])
    manifest, train, val = filtered(tmp_path, targets="human", balance=True)
    kept = [*train, *val]
    assert sum(row.decision == "accept" for row in kept) == 4
    assert sum(row.decision == "reject" for row in kept) == 4
    # One review each of four papers, rather than all of one's.
    assert len({row.paper for row in kept}) == 8
    assert manifest.counts["human, left out: surplus"] == 14


def test_balancing_keeps_what_is_balanced() -> None:
    assert balanced([], seed=1) == ([], [])


def test_what_is_too_long_is_left_out(tmp_path: Path) -> None:
    papers = [paper(str(n)) for n in range(6)]
    long = GOOD.replace("## Weaknesses", "words " * 300 + "\n\n## Weaknesses")
    others = [taught(str(n), stub_review(f"Title: {n}")) for n in range(1, 6)]
    lay(tmp_path, papers, [*others, taught("0", long)])
    _, train, val = filtered(tmp_path, most_words=200)
    assert len(train) + len(val) == 5
    (left_out,) = rejected(tmp_path)
    assert (left_out.paper, left_out.reason) == ("0", "too_long")
    assert int(left_out.detail.split()[0]) > 300


def test_of_one_paper_only_so_many_are_taken(tmp_path: Path) -> None:
    reviews = [human("a", 5), human("b", 5, "\n" * 3 + "x" * 50), human("c", 5)]
    lay(
        tmp_path,
        [paper(str(n), reviews=reviews if n == 0 else [human(str(n), 5)]) for n in range(4)],
        [],
    )
    _, train, val = filtered(tmp_path, targets="human", reviews_per_paper=1)
    assert [row.id for row in (*train, *val) if row.paper == "0"] == ["0/human/1"]
    assert [row.reason for row in rejected(tmp_path)] == ["enough_of_this_paper"] * 2


def test_the_longest_that_is_short_enough_is_taken(tmp_path: Path) -> None:
    long = HUMAN.format(name="a").replace("is old.", "is old" + ", old" * 100 + ".")
    reviews = [human("b", 5), HumanReview(text=long, rating=5)]
    others = [paper(str(n), reviews=[human(str(n), 5)]) for n in range(1, 4)]
    lay(tmp_path, [paper("0", reviews=reviews), *others], [])
    _, train, val = filtered(tmp_path, targets="human", reviews_per_paper=1, most_words=60)
    assert [row.id for row in (*train, *val) if row.paper == "0"] == ["0/human/0"]
    assert [row.reason for row in rejected(tmp_path)] == ["too_long"]


def test_a_paper_without_text_is_left_out(tmp_path: Path) -> None:
    empty = PaperRow(**{**_fields(paper("0", reviews=[human("0", 5)])), "sections": ()})
    lay(tmp_path, [empty, *(paper(str(n), reviews=[human(str(n), 5)]) for n in range(1, 6))], [])
    filtered(tmp_path, targets="human")
    assert [row.reason for row in rejected(tmp_path)] == ["no_text"]


def _fields(row: PaperRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def test_an_empty_split_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    lay(tmp_path, [paper("0", reviews=[human("0", 5)])], [])
    with pytest.raises(InputInvalid, match="the train split is empty: 1 reviews of 1 papers"):
        filtered(tmp_path, targets="human")
    assert not (tmp_path / "out" / "filter" / "manifest.json").exists()


def test_a_review_of_an_unknown_paper_is_told(tmp_path: Path) -> None:
    lay(tmp_path, [paper("0")], [taught("1", GOOD)])
    with pytest.raises(InputInvalid, match="a review of 1, which was not collected"):
        filtered(tmp_path)


def test_a_killed_filter_ends_with_the_same_output(tmp_path: Path) -> None:
    papers = [paper(str(n), reviews=[human(str(n), 5)]) for n in range(8)]
    lay(tmp_path, papers, [])
    first, train, val = filtered(tmp_path, targets="human")
    folder = tmp_path / "out" / "filter"
    # As a kill leaves it before its last file.
    (folder / "manifest.json").unlink()
    (folder / "rejected.jsonl").unlink()
    (folder / "begun.json").write_text(first.made_from.model_dump_json())
    manifest, *again = filtered(tmp_path, targets="human")
    assert manifest.resumed
    assert again == [train, val]
    assert manifest.outputs == first.outputs


def test_the_real_reviews_map_as_far_as_is_known_of_them(tmp_path: Path) -> None:
    """Of the NeurIPS 2025 reviews about 83 % have the headings, and 7-11 % tell the outcome."""
    if not NEURIPS.is_dir():
        pytest.skip("the NeurIPS data is not beside this checkout")
    source = {
        "kind": "jsonl",
        "path": str(NEURIPS / "train.jsonl.gz"),
        "rating_scale": [1, 6],
        "most": 200,
    }
    section = {"targets": "human", "val_fraction": 0.2, "balance": True}
    recipe = recipe_file(tmp_path, collect={"sources": [source]}, filter=section)
    run_stage(COLLECT, recipe)
    counts = run_stage(STAGE, recipe).counts
    read = counts["human, read"] - counts["human, left out: meta_review"]
    agreeing = read - counts["human, left out: contradicts_decision"]
    outcome = counts["human, left out: mentions_outcome"]
    assert 0.05 < outcome / agreeing < 0.15
    assert counts["human, left out: no_headings"] / (agreeing - outcome) < 0.2
    assert abs(counts["train: accept"] - counts["train: reject"]) <= 2
