"""The output file of a batch: one JSON line per paper, and what is known from the lines.

A line is written at once and is on the disk (fsync) before its paper counts as done. A kill or a
power cut costs at most the line that was being written: the next start removes its beginning.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import msgspec
from filelock import FileLock, Timeout

from app.api.schemas.errors import ErrorDetail
from app.api.schemas.requests import ReviewParameters
from app.cli.client.batch.inputs import BatchPaper
from app.errors import ConfigurationError, ReviewerError

Status = Literal["completed", "failed", "duplicate"]

_BEGINNING = b'{"path":'
"""The beginning of every line. A file with other lines is not an output, and is left unchanged."""


class _Verdict(msgspec.Struct):
    decision: str | None
    probability: float | None


class _Review(msgspec.Struct):
    verdict: _Verdict
    notice: str | None
    reused: bool = False


class _Error(msgspec.Struct):
    code: str | int | None


class _Line(msgspec.Struct):
    """The fields of a line that are needed to continue and to count."""

    path: str
    sha256: str | None
    status: Status
    model: str | None
    parameters: dict[str, Any]
    transient: bool = False
    error: _Error | None = None
    review: _Review | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one paper: its line without the review."""

    path: str
    status: Status
    decision: str | None = None
    probability: float | None = None
    notice: str | None = None
    code: str | None = None
    """Of the error."""
    reused: bool = False
    """Whether the service answered with a review that it had stored already."""


class OutputFailed(ReviewerError):
    """A line can't be written; for example, the disk is full."""

    code = "output_failed"


class BatchOutput:
    """A context manager: while it is entered, no other process can write the file."""

    def __init__(self, out: Path, parameters: ReviewParameters, *, retry_failed: bool) -> None:
        self._out = out.resolve()
        self._parameters = parameters.model_copy(update={"model": None})
        self._retry_failed = retry_failed
        self._lock = FileLock(self._out.with_name(f".{self._out.name}.lock"))
        self._file: BinaryIO
        self._by_sha: dict[str, Outcome] = {}
        self._duplicates: set[tuple[str, str]] = set()
        self.model: str | None = None
        """The model that generated the reviews; None if there are none yet."""

    def __enter__(self) -> Self:
        """Lock the file, and read its lines.

        Raises:
            ConfigurationError: another run has it, or its lines are not those of such a run.
            OSError: it can't be read or written.
        """
        if not self._out.parent.is_dir():
            raise _refused(f"there is no folder {self._out.parent}")
        if self._out.exists() and not self._out.is_file():
            raise _refused(f"{self._out} is not a file")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise _refused(f"another run is writing {self._out}") from None
        try:
            self._file = self._out.open("ab", buffering=0)
            try:
                self._load()
            except BaseException:
                self._file.close()
                raise
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._lock.release()

    def find(self, sha256: str) -> Outcome | None:
        """The result of the paper with these bytes."""
        return self._by_sha.get(sha256)

    def has_duplicate(self, path: str, sha256: str) -> bool:
        return (path, sha256) in self._duplicates

    def completed(self, paper: BatchPaper, sha256: str, review: dict[str, Any]) -> Outcome:
        return self._append(paper, sha256, "completed", review=review)

    def failed(
        self, paper: BatchPaper, sha256: str | None, error: ErrorDetail, *, transient: bool
    ) -> Outcome:
        """``transient``: the next run tries the paper again."""
        return self._append(paper, sha256, "failed", transient=transient, error=error.model_dump())

    def duplicate(self, paper: BatchPaper, sha256: str, of: str) -> Outcome:
        return self._append(paper, sha256, "duplicate", duplicate_of=of)

    def read(self) -> Iterator[dict[str, Any]]:
        """Every line of the file, one at a time."""
        with self._out.open("rb") as lines:
            for line in lines:
                yield msgspec.json.decode(line)

    def _append(
        self, paper: BatchPaper, sha256: str | None, status: Status, **rest: Any
    ) -> Outcome:
        """
        Raises:
            OutputFailed: nothing of the line is in the file.
        """
        whole = {
            "path": paper.path,
            "id": paper.id,
            "sha256": sha256,
            "status": status,
            "model": self.model,
            "parameters": self._parameters.model_dump(mode="json", exclude={"model", "stream"}),
            "manifest": dict(paper.columns),
            **rest,
        }
        line = msgspec.json.encode(whole) + b"\n"
        ends = os.fstat(self._file.fileno()).st_size
        try:
            left = memoryview(line)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            os.ftruncate(self._file.fileno(), ends)
            raise OutputFailed(f"{self._out} can't be written: {error.strerror}") from error
        return self._remember(msgspec.json.decode(line, type=_Line))

    def _remember(self, line: _Line) -> Outcome:
        verdict = line.review.verdict if line.review else None
        outcome = Outcome(
            path=line.path,
            status=line.status,
            decision=verdict.decision if verdict else None,
            probability=verdict.probability if verdict else None,
            notice=line.review.notice if line.review else None,
            code=str(line.error.code) if line.error else None,
            reused=line.review.reused if line.review else False,
        )
        if line.sha256 is not None:
            if line.status == "duplicate":
                self._duplicates.add((line.path, line.sha256))
            else:
                self._by_sha[line.sha256] = outcome
        return outcome

    def _load(self) -> None:
        """Read every line before anything is changed.

        Raises:
            ConfigurationError: a line is not one of this run's.
        """
        whole = 0
        again: set[int] = set()
        with self._out.open("rb") as lines:
            for number, raw in enumerate(lines):
                if not raw.endswith(b"\n"):
                    self._check_torn(raw, number + 1)
                    break
                whole += len(raw)
                line = self._parsed(raw, number + 1)
                self.model = self.model or line.model
                if line.status == "failed" and (line.transient or self._retry_failed):
                    again.add(number)
                else:
                    self._remember(line)
        os.ftruncate(self._file.fileno(), whole)
        # If the original is to be reviewed again, its duplicate may come first this time.
        self._duplicates = {known for known in self._duplicates if known[1] in self._by_sha}
        if again:
            self._rewrite(lambda number, line: number not in again and self._is_kept(line))

    def _check_torn(self, raw: bytes, number: int) -> None:
        if not _BEGINNING.startswith(raw[: len(_BEGINNING)]):
            raise self._foreign(f"line {number}")

    def _is_kept(self, line: _Line) -> bool:
        return line.status != "duplicate" or (line.path, line.sha256) in self._duplicates

    def _parsed(self, raw: bytes, number: int) -> _Line:
        try:
            line = msgspec.json.decode(raw, type=_Line)
            parameters = ReviewParameters.model_validate(line.parameters)
        except ValueError:  # also pydantic's and msgspec's
            raise self._foreign(f"line {number}") from None
        if parameters != self._parameters or (line.model and self.model not in (None, line.model)):
            raise _refused(
                f"{self._out} has the reviews of another run (line {number}: {line.model}, "
                f"{_brief(parameters)}; this run: {_brief(self._parameters)}): name another --out"
            )
        return line

    def _rewrite(self, keeps: Callable[[int, _Line], bool]) -> None:
        """Remove lines. A kill in the middle leaves the file as it was."""
        new = self._out.with_name(f".{self._out.name}.new")
        with self._out.open("rb") as old, new.open("wb") as kept:
            for number, raw in enumerate(old):
                if keeps(number, msgspec.json.decode(raw, type=_Line)):
                    kept.write(raw)
            kept.flush()
            os.fsync(kept.fileno())
        self._file.close()
        new.replace(self._out)
        self._file = self._out.open("ab", buffering=0)

    def _foreign(self, where: str) -> ConfigurationError:
        return _refused(f"{self._out} is not an output of 'reviewer batch' ({where}): name another")


def _brief(parameters: ReviewParameters) -> str:
    shown = parameters.model_dump(exclude_defaults=True) | {"template": parameters.template}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _refused(message: str) -> ConfigurationError:
    return ConfigurationError(message, code="output_refused")
