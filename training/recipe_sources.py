"""The sections of a recipe about sources of papers, and about their split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Base of all sections. Unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class PeerReadSource(Section):
    """Papers from PeerRead, as parsed by its authors."""

    kind: Literal["peerread"]
    clone: Path | None = None
    """Folder of a clone. None: the stage clones the repository (some gigabytes) into its folder."""
    commit: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    """Commit to clone, or that the clone must be at. None: the newest, named in the manifest."""
    venues: tuple[str, ...] = Field(min_length=1)
    """Folders in `data/`, for example `iclr_2017`, `acl_2017`, `conll_2016`."""
    splits: tuple[Literal["train", "dev", "test"], ...] = Field(min_length=1)
    most: int | None = Field(None, ge=1)
    """Maximum number of papers, sampled with the run's seed. None: all."""


class OpenReviewSource(Section):
    """Submissions to a venue on OpenReview. Their PDFs are read with the service's code."""

    kind: Literal["openreview"]
    venues: tuple[str, ...] = Field(min_length=1)
    """Venue ids, for example `ICLR.cc/2019/Conference`."""
    url: str = "https://api.openreview.net"
    """URL of the API, version 1, which has ICLR up to 2023."""
    most: int | None = Field(None, ge=1)
    """Maximum number of papers of all venues together, sampled with the run's seed. None: all."""


class JsonlSource(Section):
    """Papers in a JSON Lines file, in the format of `training/README.md`."""

    kind: Literal["jsonl"]
    path: Path
    """A `.jsonl` or `.jsonl.gz` file."""
    split: Literal["train", "val", "dev", "test"] = "train"
    """The split of all its papers."""
    rating_scale: tuple[float, float] = (1.0, 10.0)
    """The lowest and the highest possible rating of the venue."""
    most: int | None = Field(None, ge=1)
    """Maximum number of papers, sampled with the run's seed, as many accepted as rejected if
    possible. None: all."""


class PapersSource(Section):
    """Your own papers: a CSV file with a line for each paper, and the papers' files."""

    kind: Literal["papers"]
    csv: Path
    """Required column: `pdf` or `text`, the path of the file relative to the CSV's folder.
    Optional: `title`, `abstract`, `decision`, `rating`, `venue`, `split`, `id`, and any others."""
    rating_scale: tuple[float, float] = (1.0, 10.0)
    """The lowest and the highest possible rating of the venue."""
    most: int | None = Field(None, ge=1)
    """Maximum number of papers, sampled with the run's seed, as many accepted as rejected if
    possible. None: all."""


Source = Annotated[
    PeerReadSource | OpenReviewSource | JsonlSource | PapersSource, Field(discriminator="kind")
]


class SplitByColumn(Section):
    """Split by the value of a column."""

    by: Literal["column"]
    column: str = "split"
    """`venue`, `split`, or another column of the source."""
    val: tuple[str, ...] = ("val", "dev", "validation")
    """Values of papers for validation."""
    test: tuple[str, ...] = ("test",)
    """Values of papers for the benchmark. All other papers are for training."""

    @property
    def has_test(self) -> bool:
        return False


class SplitByTime(Section):
    """Split by time: the newest papers are for the benchmark, those before them for validation."""

    by: Literal["time"]
    column: str
    """A year, a number, or a date as YYYY-MM-DD."""
    val_from: str = Field(coerce_numbers_to_str=True)
    test_from: str | None = Field(None, coerce_numbers_to_str=True)
    """None: no paper is added to the benchmark."""

    @property
    def has_test(self) -> bool:
        return self.test_from is not None


class SplitByGroup(Section):
    """Split by group: papers with the same value in a column (a lab, a topic) stay together."""

    by: Literal["group"]
    column: str
    val_share: float = Field(0.15, gt=0, lt=1)
    """Approximate share of the papers; groups are sampled with the run's seed to reach it."""
    test_share: float = Field(0.15, ge=0, lt=1)

    @property
    def has_test(self) -> bool:
        return self.test_share > 0


Split = SplitByColumn | SplitByTime | SplitByGroup


class Collect(Section):
    """The papers for training and for the benchmark."""

    sources: tuple[Source, ...] = ()
    """Papers for training. Of papers with the same title, the first is kept."""
    benchmark: tuple[Source, ...] = ()
    """Papers of the benchmark. Papers with their titles are removed from the training papers."""
    split: Annotated[Split, Field(discriminator="by")] | None = None
    """How the sources' papers are split. Test papers are added to the benchmark; `filter` uses the
    validation papers as its validation split. None: `filter` samples the validation split."""
