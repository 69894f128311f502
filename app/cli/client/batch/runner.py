"""Reviews the papers of a batch, some at a time, until each has its line in the output."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Protocol, Self

from app.api.schemas.errors import ErrorDetail
from app.api.schemas.requests import ReviewParameters
from app.cli.client.api import ApiClient, RequestFailed, client_error
from app.cli.client.batch.inputs import BatchPaper
from app.cli.client.batch.output import BatchOutput, Outcome
from app.cli.client.batch.retry import Retries, ServiceGone
from app.cli.client.batch.reviews import Reviews
from app.errors import ConfigurationError
from app.failures import NOT_REACHED, Cause, Retry
from app.paper.sources import File

_MAX_BYTES = 1_000_000_000
"""Of a file that is read into memory; services take 50 MB unless configured otherwise."""


class Progress(Protocol):
    """Shows the progress of a batch; a context manager around the whole run."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def begin(self) -> None:
        """The service is ready: the first paper is sent to it."""
        ...

    def done(self, outcome: Outcome, *, earlier: bool) -> None:
        """``earlier``: its line is from an earlier run."""
        ...

    def waiting(self, reason: str | None) -> None:
        """``reason``: why nothing is being reviewed now; None when it goes on."""
        ...


@dataclass(frozen=True, slots=True)
class _LoadedPaper:
    file: File
    sha256: str


class BatchRunner:
    """One run of a batch."""

    def __init__(
        self,
        service: AbstractAsyncContextManager[ApiClient],
        parameters: ReviewParameters,
        output: BatchOutput,
        progress: Progress,
        patience_s: float,
    ) -> None:
        """``service`` is entered when the first paper needs it.

        ``patience_s``: longest time without an answer before the run ends, in seconds.
        """
        self._service = service
        self._parameters = parameters
        self._output = output
        self._progress = progress
        self._retries = Retries(patience_s, progress.waiting)
        self._reviews: Reviews
        self._first_path: dict[str, str] = {}
        """SHA-256 of each paper of this run -> the path that it was first found under."""

    async def run(self, papers: Sequence[BatchPaper], concurrency: int) -> None:
        """
        Raises:
            ConfigurationError: the service refuses the parameters, or serves another model.
            ModelNotStarted: the model of the command's own service does not start.
            ServiceGone: it did not answer for too long, or failed on every paper.
            OutputFailed: a line can't be written.
        """
        try:
            async with AsyncExitStack() as stack:
                with self._progress:
                    await self._run(papers, asyncio.Semaphore(concurrency), stack)
        except ExceptionGroup as group:
            # The first error has ended the reviews of all other papers.
            raise _first(group) from None

    async def _run(
        self, papers: Sequence[BatchPaper], slots: asyncio.Semaphore, stack: AsyncExitStack
    ) -> None:
        paths = {paper.path for paper in papers}
        started = False
        async with asyncio.TaskGroup() as tasks:
            for paper in papers:
                # A file is read when there is a slot for it, not before.
                await slots.acquire()
                loaded = await asyncio.to_thread(load, paper)
                if isinstance(loaded, ErrorDetail):
                    outcome = self._output.failed(paper, None, loaded, transient=True)
                    self._progress.done(outcome, earlier=False)
                elif not self._has_line(paper, loaded.sha256, paths):
                    if not started:
                        await self._start(stack)
                        started = True
                    task = tasks.create_task(self._review(paper, loaded))
                    task.add_done_callback(lambda _: slots.release())
                    continue
                slots.release()

    def _has_line(self, paper: BatchPaper, sha256: str, paths: set[str]) -> bool:
        """Whether the paper has its line already, or gets one as a duplicate.

        If not, it counts as the first one with these bytes from now on.
        """
        known = self._output.find(sha256)
        first = self._first_path.setdefault(sha256, known.path if known else paper.path)
        if first == paper.path:
            if known:
                self._progress.done(known, earlier=True)
            return known is not None
        if first not in paths and known:
            # The same paper under a new name.
            self._first_path[sha256] = paper.path
            self._progress.done(known, earlier=True)
        elif self._output.has_duplicate(paper.path, sha256):
            self._progress.done(Outcome(paper.path, "duplicate"), earlier=True)
        else:
            self._progress.done(self._output.duplicate(paper, sha256, first), earlier=False)
        return True

    async def _start(self, stack: AsyncExitStack) -> None:
        client = await stack.enter_async_context(self._service)
        try:
            model = await self._retries.call(lambda: _model_of(client))
        except RequestFailed as error:
            if error.policy.cause is Cause.REQUEST:
                raise _wrong_request(error) from error
            raise ServiceGone(error.message) from error
        self._check_model(model)
        self._output.model = model
        self._reviews = Reviews(client, self._parameters, self._retries)
        self._progress.begin()

    def _check_model(self, model: str) -> None:
        if self._output.model not in (None, model):
            raise ConfigurationError(
                f"the output has reviews by {self._output.model}, but the service runs {model}: "
                "name another --out",
                code="output_refused",
            )

    async def _review(self, paper: BatchPaper, loaded: _LoadedPaper) -> None:
        try:
            review = await self._reviews.review(loaded.file)
        except RequestFailed as error:
            if error.policy.cause is Cause.REQUEST:
                raise _wrong_request(error) from error
            transient = error.policy.retry is not Retry.NEVER
            outcome = self._output.failed(paper, loaded.sha256, error.error, transient=transient)
            self._progress.done(outcome, earlier=False)
            if transient:
                self._retries.failed(error)
            else:
                self._retries.answered()
        else:
            self._check_model(review["model"])
            outcome = self._output.completed(paper, loaded.sha256, review)
            self._progress.done(outcome, earlier=False)
            self._retries.answered()


async def _model_of(client: ApiClient) -> str:
    """The name of the model, once the service is ready."""
    await client.check_ready()
    version = await client.version()
    if version.model is None:  # the model has stopped since
        raise RequestFailed(client_error("the model is not ready", "not_ready"), NOT_REACHED)
    return version.model


def load(paper: BatchPaper) -> _LoadedPaper | ErrorDetail:
    """The file's bytes and hash, or the error for its line."""
    try:
        status = paper.file.stat()
        if not stat.S_ISREG(status.st_mode):
            return client_error("This is not a file.", "file_not_found", "path")
        if status.st_size > _MAX_BYTES:
            return client_error("The file is larger than 1 GB.", "file_too_large", "path")
        data = paper.file.read_bytes()
    except FileNotFoundError:
        return client_error("There is no such file.", "file_not_found", "path")
    except OSError as error:
        return client_error(f"The file can't be read: {error.strerror}.", "file_unreadable", "path")
    except ValueError:  # a NUL in its name
        return client_error("This is not a valid file name.", "file_not_found", "path")
    name = paper.path.rpartition("/")[2]
    return _LoadedPaper(File(data, name), hashlib.sha256(data).hexdigest())


def _wrong_request(error: RequestFailed) -> ConfigurationError:
    """For an error that every other paper would get, too."""
    return ConfigurationError(error.message, error.param, error.code)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
