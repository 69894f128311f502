"""A person's own papers from a CSV, JSON lines with Markdown, and how papers are divided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.papers import paper_pdf
from tests.training.recipes import recipe_file
from tests.training.reviewed import paper
from training.collect import STAGE
from training.errors import InputInvalid, InputMissing, RecipeError
from training.filter import STAGE as FILTER
from training.jsonl import read_rows
from training.leaks import leaks_of
from training.paper_splits import split_papers
from training.recipe_file import load_recipe
from training.recipe_sources import SplitByGroup
from training.rows import PaperRow, Rejected, ReviewRow, SectionRow, load_papers
from training.stage import run_stage

MARKDOWN = (
    "# On {name}\n\nAnonymous authors\n\n# ABSTRACT\n\nWe do.\n\n# 1 INTRODUCTION\n\n{body}\n"
)
BODY = "The method counts each token once, and never twice, in a sentence of some length."


def written(folder: Path, *lines: str, header: str = "pdf,decision,year,lab") -> Path:
    """The CSV with these lines, and the Markdown files that they name."""
    for line in lines:
        name = line.split(",")[0]
        if name.endswith(".md"):
            (folder / name).write_text(MARKDOWN.format(name=name, body=BODY), encoding="utf-8")
    path = folder / "mine.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def collected(
    folder: Path, csv: Path, **more: Any
) -> tuple[dict[str, PaperRow], dict[str, PaperRow], list[Rejected]]:
    recipe = recipe_file(folder, collect={"sources": [{"kind": "papers", "csv": str(csv)}], **more})
    run_stage(STAGE, recipe)
    out = folder / "out" / "collect"
    return (
        load_papers(out / "papers.jsonl"),
        load_papers(out / "benchmark.jsonl"),
        list(read_rows(out / "rejected.jsonl", Rejected)),
    )


def test_papers_are_read_from_their_files_with_what_the_csv_says(tmp_path: Path) -> None:
    (tmp_path / "one.pdf").write_bytes(paper_pdf())
    csv = written(
        tmp_path,
        "one.pdf,Accept (poster),2023,A,6; 7.5,",
        "two.md,desk-reject,2024,B,,My Title",
        "gone.pdf,reject,2024,B,,",
        header="PDF,Decision,year,lab,rating,title",
    )
    papers, _, rejected = collected(tmp_path, csv)
    one, two = papers.values()
    assert (one.id, one.decision, one.ratings) == ("papers/one.pdf", "accept", (6.0, 7.5))
    assert one.columns == {"year": "2023", "lab": "A"}
    assert (one.title, one.venue) == ("Counting Tokens Twice Is Once Too Often", "mine")
    assert any(section.text for section in one.sections)
    assert (two.decision, two.title, two.abstract) == ("reject", "My Title", "We do.")
    assert [(row.id, row.reason) for row in rejected] == [("papers/gone.pdf", "no_file")]


@pytest.mark.parametrize(
    ("lines", "header", "message"),
    [
        (["a.md,maybe"], "text,decision", "line 2: the decision 'maybe' is neither"),
        (["a.md,accept,high"], "text,decision,rating", "line 2: the rating 'high' is not a number"),
        (["a.md,accept", ",reject"], "text,decision", "line 3: it names no file"),
        (["a.md,accept,x"], "text,decision", "line 2: it has more fields"),
        (
            ["a.md,accept", "a.md,reject"],
            "text,decision",
            "line 3: the id 'a.md' is that of line 2",
        ),
        (
            ["a.md,accept"],
            "file,decision",
            "neither a column 'pdf' nor 'text'; its columns: file, decision",
        ),
    ],
)
def test_a_csv_that_is_wrong_is_told_with_its_line(
    tmp_path: Path, lines: list[str], header: str, message: str
) -> None:
    with pytest.raises(InputInvalid, match=message):
        collected(tmp_path, written(tmp_path, *lines, header=header))


def test_a_csv_that_is_not_there_or_is_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="there is no such file"):
        collected(tmp_path, tmp_path / "none.csv")
    (tmp_path / "mine.csv").write_bytes(b"pdf\n\xff.pdf\n")
    with pytest.raises(InputInvalid, match="can't be read as a CSV in UTF-8"):
        collected(tmp_path, tmp_path / "mine.csv")


LINES = [
    f"{year}-{n}.md,{'accept' if n % 2 else 'reject'},{year},lab {n}"
    for year in (2021, 2022, 2023)
    for n in range(4)
]


@pytest.mark.parametrize(
    ("split", "val", "test"),
    [
        ({"by": "time", "column": "year", "val_from": 2022, "test_from": 2023}, "2022", "2023"),
        ({"by": "column", "column": "year", "val": ["2021"], "test": ["2022"]}, "2021", "2022"),
    ],
)
def test_papers_are_divided_by_time_or_by_a_column(
    tmp_path: Path, split: dict[str, Any], val: str, test: str
) -> None:
    papers, benchmark, _ = collected(tmp_path, written(tmp_path, *LINES), split=split)
    assert {row.columns["year"] for row in benchmark.values()} == {test}
    assert {row.columns["year"] for row in papers.values() if row.split == "val"} == {val}
    recipe = recipe_file(
        tmp_path,
        collect={
            "sources": [{"kind": "papers", "csv": str(tmp_path / "mine.csv")}],
            "split": split,
        },
        filter={"targets": "decision"},
    )
    run_stage(FILTER, recipe)
    rows = list(read_rows(tmp_path / "out" / "filter" / "val.jsonl", ReviewRow))
    assert {papers[row.paper].columns["year"] for row in rows} == {val}
    assert rows[0].text.endswith("I recommend this paper for REJECTION.")
    assert len(list(read_rows(tmp_path / "out" / "filter" / "train.jsonl", ReviewRow))) == 4


def test_a_group_is_never_in_two_splits() -> None:
    papers = [
        msgspec.structs.replace(
            paper(n, decision="accept", told=0.5), columns={"lab": f"lab {n % 7}"}
        )
        for n in range(70)
    ]
    by = SplitByGroup(by="group", column="lab", val_share=0.2, test_share=0.2)
    found = split_papers(papers, by, seed=1)
    splits = {row.columns["lab"]: set[str]() for row in found}
    for row in found:
        splits[row.columns["lab"]].add(row.split)
    assert all(len(names) == 1 for names in splits.values())
    assert [sum(row.split == name for row in found) for name in ("val", "test")] == [20, 20]
    assert split_papers(papers, by, seed=1) == found
    assert split_papers(papers, by, seed=2) != found


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"by": "column", "column": "venu"}, "has no value in the column 'venu'"),
        ({"by": "time", "column": "lab", "val_from": 2022}, "'lab 0' is not a time"),
        (
            {"by": "time", "column": "year", "val_from": 2024},
            r"leaves no papers for val \(train: 12\)",
        ),
    ],
)
def test_a_split_that_can_not_be_is_told(
    tmp_path: Path, split: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputInvalid, match=message):
        collected(tmp_path, written(tmp_path, *LINES), split=split)


def test_a_wrong_key_of_a_split_is_told_with_its_line(tmp_path: Path) -> None:
    split = {"by": "group", "column": "lab", "val": 0.2}
    path = recipe_file(tmp_path, collect={"split": split})
    with pytest.raises(RecipeError, match=r"line \d+: unknown key 'collect\.split\.val'"):
        load_recipe(path)


def test_json_lines_may_hold_markdown_and_ratings_without_reviews(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "venue": "ICLR2023", "accepted": True, "ratings": [6, 8]},
        {"id": "b", "venue": "ICLR2023", "accepted": None, "ratings": []},
    ]
    path = tmp_path / "papers.jsonl"
    lines = [{**row, "markdown": MARKDOWN.format(name=row["id"], body=BODY)} for row in rows]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    source = {"kind": "jsonl", "path": str(path), "split": "val"}
    run_stage(STAGE, recipe_file(tmp_path, collect={"sources": [source]}))
    one, other = load_papers(tmp_path / "out" / "collect" / "papers.jsonl").values()
    assert (one.id, one.title, one.abstract) == ("jsonl/ICLR2023/a", "On a", "We do.")
    assert (one.ratings, one.decision, one.split) == ((6.0, 8.0), "accept", "val")
    assert [section.heading for section in one.sections][-1] == "1 INTRODUCTION"
    assert other.decision is None


def leaky(number: int, *, accepted: bool, tells: str = "") -> PaperRow:
    row = paper(number, decision="accept" if accepted else "reject", told=0.5, words=30 + number)
    extra = SectionRow(heading="3 Notes", text=f"Here we speak of number{number % 5}. {tells}")
    return msgspec.structs.replace(row, sections=(*row.sections, extra))


def test_words_that_only_accepted_papers_have_are_found() -> None:
    sentence = "This work was done while the author was at a lab."
    leaking = leaks_of(
        [leaky(n, accepted=n % 2 == 0, tells=sentence if n % 2 == 0 else "") for n in range(40)],
        0,
    )
    assert leaking["auroc"]["bag_of_words"]["low"] > 0.9
    assert leaking["phrases"]["work done while"]["tells"]
    assert {"while", "lab"} & {
        w for words in leaking["telling_words"]["accepted"] for w in words.split()
    }
    sound = leaks_of([leaky(n, accepted=n % 4 < 2) for n in range(40)], 0)
    assert sound["auroc"]["bag_of_words"]["low"] < 0.5 < sound["auroc"]["length"]["high"]
    assert not any(phrase["tells"] for phrase in sound["phrases"].values())


def test_length_that_tells_is_found_and_few_papers_say_nothing() -> None:
    rows = [
        paper(n, decision="accept" if n % 2 else "reject", told=0.5, words=90 if n % 2 else 30)
        for n in range(30)
    ]
    assert leaks_of(rows, 0)["auroc"]["length"]["value"] == 1
    assert leaks_of(rows[:12], 0)["reason"].startswith("6 accepted and 6 rejected")
