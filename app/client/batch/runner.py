"""Reviews the papers of a batch, some at a time, until each has its line."""

from __future__ import annotations

import asyncio
import hashlib
import random
import stat
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from app.client.batch.inputs import BatchPaper
from app.client.batch.output import Ledger, Outcome
from app.client.batch.reviewer import Refused, Reviewer, failure
from app.errors import ConfigurationError, ReviewerError
from app.paper.sources import File
from app.schemas.errors import ErrorDetail
from app.schemas.requests import ReviewParameters

T = TypeVar("T")

MOST_ATTEMPTS = 4
"""At a paper that the service fails on."""
MOST_IN_A_ROW = 20
"""Papers that the service may fail on, all their attempts, before it is given up."""
_LONGEST_PAUSE_S = 30.0
_MOST_BYTES = 1_000_000_000
"""Of a file that is read into memory; services take 50 MB unless told otherwise."""


class ServiceGone(ReviewerError):
    """It was waited for long enough, or fails on everything."""

    code = "service_gone"


class Watcher(Protocol):
    """Is told how the batch goes on; a context manager around all of it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def begin(self) -> None:
        """The service is there: the first paper goes to it."""
        ...

    def done(self, outcome: Outcome, *, earlier: bool) -> None:
        """``earlier``: its line is from an earlier run."""
        ...

    def waiting(self, reason: str | None) -> None:
        """What keeps the work from going on; None when it goes on."""
        ...


@dataclass(frozen=True, slots=True)
class _Loaded:
    file: File
    sha256: str


class Runner:
    """One run of a batch."""

    def __init__(
        self,
        reviewer: Reviewer,
        ledger: Ledger,
        watcher: Watcher,
        asked: ReviewParameters,
        patience_s: float,
    ) -> None:
        """``patience_s``: how long the service may be away before the run ends, in seconds."""
        self._reviewer = reviewer
        self._ledger = ledger
        self._watcher = watcher
        self._asked = asked
        self._patience_s = patience_s
        self._heard = 0.0
        """When the service last had an answer to a paper."""
        self._failed_in_a_row = 0
        self._claimed: dict[str, str] = {}
        """The SHA-256 of the papers of this run, and the path that each was first found under."""

    async def run(self, papers: Sequence[BatchPaper], at_once: int) -> None:
        """
        Raises:
            ConfigurationError: the service refuses what is asked for, or serves another model.
            ServiceGone: it did not answer for too long, or failed on everything.
            OutputFailed: a line can't be written.
        """
        try:
            async with self._reviewer:
                with self._watcher:
                    await self._run(papers, asyncio.Semaphore(at_once))
        except ExceptionGroup as group:
            # Whatever ends one ends all, and the first reason is as good as any.
            raise _first(group) from None

    async def _run(self, papers: Sequence[BatchPaper], slots: asyncio.Semaphore) -> None:
        paths = {paper.path for paper in papers}
        started = False
        async with asyncio.TaskGroup() as tasks:
            for paper in papers:
                # A file is read when there is a slot for it, not before.
                await slots.acquire()
                loaded = await asyncio.to_thread(load, paper)
                if isinstance(loaded, ErrorDetail):
                    outcome = self._ledger.failed(paper, None, loaded, transient=True)
                    self._watcher.done(outcome, earlier=False)
                elif not self._is_told(paper, loaded.sha256, paths):
                    if not started:
                        await self._start()
                        started = True
                    task = tasks.create_task(self._review(paper, loaded))
                    task.add_done_callback(lambda _: slots.release())
                    continue
                slots.release()

    def _is_told(self, paper: BatchPaper, sha256: str, paths: set[str]) -> bool:
        """Whether the paper has a line, or gets one as a duplicate; otherwise it is claimed."""
        known = self._ledger.find(sha256)
        original = self._claimed.setdefault(sha256, known.path if known else paper.path)
        if original == paper.path:
            if known:
                self._watcher.done(known, earlier=True)
            return known is not None
        if original not in paths and known:
            # The same paper under a new name.
            self._claimed[sha256] = paper.path
            self._watcher.done(known, earlier=True)
        elif self._ledger.told_as_duplicate(paper.path, sha256):
            self._watcher.done(Outcome(paper.path, "duplicate"), earlier=True)
        else:
            self._watcher.done(self._ledger.duplicate(paper, sha256, original), earlier=False)
        return True

    async def _start(self) -> None:
        self._watcher.waiting("waiting: the model is loading")
        try:
            model = await self._ask(self._reviewer.start)
        except Refused as refused:
            if refused.blame == "run":
                raise _refuses(refused) from refused
            raise ServiceGone(refused.error.message) from refused
        self._check_model(model)
        self._ledger.model = model
        self._watcher.begin()

    def _check_model(self, model: str) -> None:
        if self._ledger.model not in (None, model):
            raise ConfigurationError(
                f"the output holds reviews by {self._ledger.model}, and this is {model}: "
                "name another --out",
                code="output_refused",
            )

    async def _review(self, paper: BatchPaper, loaded: _Loaded) -> None:
        try:
            review = await self._ask(lambda: self._reviewer.review(loaded.file, self._asked))
        except Refused as refused:
            if refused.blame == "run":
                raise _refuses(refused) from refused
            transient = refused.blame != "paper"
            outcome = self._ledger.failed(paper, loaded.sha256, refused.error, transient=transient)
            self._watcher.done(outcome, earlier=False)
            self._count_failure(refused)
        else:
            self._check_model(review["model"])
            outcome = self._ledger.completed(paper, loaded.sha256, review)
            self._watcher.done(outcome, earlier=False)

    def _count_failure(self, refused: Refused) -> None:
        self._failed_in_a_row += refused.blame == "service"
        if self._failed_in_a_row >= MOST_IN_A_ROW:
            raise ServiceGone(
                f"the service failed on {MOST_IN_A_ROW} papers in a row, at last with: "
                f"{refused.error.message}"
            )

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer; asked again where that may help.

        Raises:
            Refused: it is this paper's or the run's own fault, or the service failed every time.
            ServiceGone: it was away for too long.
        """
        attempts = pauses = 0
        asked_at = time.monotonic()
        while True:
            try:
                answer = await question()
            except Refused as refused:
                if refused.blame == "paper":
                    self._hear()
                if refused.blame in ("paper", "run"):
                    raise
                if refused.blame == "service":
                    attempts += 1
                    if attempts == MOST_ATTEMPTS:
                        raise
                pauses += 1
                await self._pause(refused, pauses, max(asked_at, self._heard))
            else:
                self._hear()
                return answer

    def _hear(self) -> None:
        self._heard = time.monotonic()
        self._failed_in_a_row = 0
        self._watcher.waiting(None)

    async def _pause(self, refused: Refused, pauses: int, heard: float) -> None:
        """As long as the service says, or twice as long each time; less where patience ends."""
        left = heard + self._patience_s - time.monotonic()
        if left <= 0 and refused.blame == "away":
            raise ServiceGone(
                f"nothing was heard for {self._patience_s:g} s: {refused.error.message}"
            )
        pause = refused.retry_after_s
        if pause is None:
            pause = min(_LONGEST_PAUSE_S, 2.0 ** (pauses - 1))
        # Spread, so that those who were refused together do not come back together.
        pause *= random.uniform(1, 1.25)  # noqa: S311
        if refused.blame == "away":
            pause = min(pause, left)
        self._watcher.waiting(f"waiting: {refused.error.message}")
        await asyncio.sleep(pause)


def load(paper: BatchPaper) -> _Loaded | ErrorDetail:
    """The file and its hash, or why there is none."""
    try:
        about = paper.file.stat()
        if not stat.S_ISREG(about.st_mode):
            return failure("This is no file.", "file_not_found", "path")
        if about.st_size > _MOST_BYTES:
            return failure("The file is larger than 1 GB.", "file_too_large", "path")
        data = paper.file.read_bytes()
    except FileNotFoundError:
        return failure("There is no such file.", "file_not_found", "path")
    except OSError as error:
        return failure(f"The file can't be read: {error.strerror}.", "file_unreadable", "path")
    except ValueError:  # a NUL in its name
        return failure("This is no name of a file.", "file_not_found", "path")
    name = paper.path.rpartition("/")[2]
    return _Loaded(File(data, name), hashlib.sha256(data).hexdigest())


def _refuses(refused: Refused) -> ConfigurationError:
    error = refused.error
    return ConfigurationError(error.message, error.param, str(error.code))


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
