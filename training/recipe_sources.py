"""Sections of a recipe that say where papers come from, and how they are divided."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Part of a recipe: an unknown key is refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class PeerReadSource(Section):
    """Papers of a PeerRead clone, parsed by its authors."""

    kind: Literal["peerread"]
    clone: Path | None = None
    """Folder of a clone. None: the stage clones it, some gigabytes, next to its output."""
    commit: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    """What is cloned, or what the clone must be at. None: the newest; the manifest names it."""
    venues: tuple[str, ...] = Field(min_length=1)
    """Folders of `data/`: `iclr_2017`, `acl_2017`, `conll_2016`."""
    splits: tuple[Literal["train", "dev", "test"], ...] = Field(min_length=1)
    most: int | None = Field(None, ge=1)
    """Most papers, drawn with the run's seed. None: all."""


class OpenReviewSource(Section):
    """Submissions of a venue on OpenReview, their PDFs read as the service reads PDFs."""

    kind: Literal["openreview"]
    venues: tuple[str, ...] = Field(min_length=1)
    """Venue ids: `ICLR.cc/2019/Conference`."""
    url: str = "https://api.openreview.net"
    """The API, version 1, which has ICLR up to 2023."""
    most: int | None = Field(None, ge=1)
    """Most papers of all venues together, drawn with the run's seed. None: all."""


class JsonlSource(Section):
    """Papers of a file, one JSON a line, as `training/README.md` describes."""

    kind: Literal["jsonl"]
    path: Path
    """A `.jsonl` or `.jsonl.gz`."""
    split: Literal["train", "val", "dev", "test"] = "train"
    """What its rows are marked as."""
    rating_scale: tuple[float, float] = (1.0, 10.0)
    """The lowest and the highest rating that the venue's form allows."""
    most: int | None = Field(None, ge=1)
    """Most papers, drawn with the run's seed, accepted and rejected as near to 1:1 as there are.
    None: all."""


class PapersSource(Section):
    """Papers of one's own: their files, and a CSV with a line for each."""

    kind: Literal["papers"]
    csv: Path
    """Columns `pdf` or `text` (a file's path from the CSV's folder), and where there are such
    `title`, `abstract`, `decision`, `rating`, `venue`, `split`, `id`, and any others."""
    rating_scale: tuple[float, float] = (1.0, 10.0)
    """The lowest and the highest rating that the venue's form allows."""
    most: int | None = Field(None, ge=1)
    """As the JSONL source's."""


Source = Annotated[
    PeerReadSource | OpenReviewSource | JsonlSource | PapersSource, Field(discriminator="kind")
]


class SplitByColumn(Section):
    """By what stands in a column."""

    by: Literal["column"]
    column: str = "split"
    """`venue`, `split`, or a column of the source's own."""
    val: tuple[str, ...] = ("val", "dev", "validation")
    """What makes a paper one to validate with."""
    test: tuple[str, ...] = ("test",)
    """What makes it one of the benchmark. All others are trained on."""

    @property
    def has_test(self) -> bool:
        return False


class SplitByTime(Section):
    """The newest papers are the benchmark, those before them validate."""

    by: Literal["time"]
    column: str
    """A year, a number, or a date as YYYY-MM-DD."""
    val_from: str = Field(coerce_numbers_to_str=True)
    test_from: str | None = Field(None, coerce_numbers_to_str=True)
    """None: no paper becomes one of the benchmark."""

    @property
    def has_test(self) -> bool:
        return self.test_from is not None


class SplitByGroup(Section):
    """Papers with the same value of a column (a lab, a topic) are all in one split."""

    by: Literal["group"]
    column: str
    val_share: float = Field(0.15, gt=0, lt=1)
    """Of the papers, about: whole groups are drawn with the run's seed until it is reached."""
    test_share: float = Field(0.15, ge=0, lt=1)

    @property
    def has_test(self) -> bool:
        return self.test_share > 0


Split = SplitByColumn | SplitByTime | SplitByGroup


class Collect(Section):
    """Which papers prompts are made of, and which are kept for the benchmark."""

    sources: tuple[Source, ...] = ()
    """Papers to train on; of two with one title, the first source's stays."""
    benchmark: tuple[Source, ...] = ()
    """Papers of the benchmark. None of them, by title, gets among those to train on."""
    split: Annotated[Split, Field(discriminator="by")] | None = None
    """How the sources' papers are divided: those to test join the benchmark, those to validate are
    what `filter` holds back. None: `filter` draws them."""
