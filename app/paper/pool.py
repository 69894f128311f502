"""Worker processes that read papers, so that a hostile file affects only its own request.

The processes are new interpreters and not threads, as PyMuPDF holds the GIL, nor forks, as the
service has threads and connections of the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import re
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar, TypeVarTuple

import anyio
import msgspec

from app import errors
from app.errors import ExtractionCrashed, ExtractionTimeout, PaperError
from app.paper.worker import FAULT, HEADER, READY, REFUSAL, REQUEST, RESULT, TAKEN, Refusal
from app.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MIB = 2**20
_LARGEST_ANSWER = 128 * _MIB
_ATTEMPTS = 3
"""How often a document is sent to another child if one ended before it had received it."""
_LOGGABLE_FAULT = re.compile(r"\w{1,60} at \w{1,60}\.py:\d{1,6}")
"""Only such faults are logged: a process that a document has taken over might send its text."""
_DYING_S = 0.5
"""Most seconds that a process needs to end after the kernel has closed its socket."""
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TESSDATA_PREFIX", "TMPDIR")
"""Environment variables that children get. Keys and tokens are not passed on."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Otherwise NumPy would reserve address space for a thread on each core."""


class WorkerPool:
    """Child processes that each run one function at a time, within limits.

    At most ``extract_workers`` are started when needed, and reused for up to
    ``extract_documents_per_worker`` documents. A child that fails in any way is killed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.extract_workers)
        self._idle: list[_Child] = []
        self._children: set[_Child] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Kill all children, even while they work."""
        self._closed = True
        for child in self._children:
            child.kill()
        with anyio.CancelScope(shield=True):
            # Calls that run or wait notice that the pool is closed, and release their slots.
            for _ in range(self._settings.extract_workers):
                await self._slots.acquire()
            for child in tuple(self._children):
                await self._end(child)

    async def run(self, function: Callable[[*Ts], T], *args: *Ts, returns: type[T]) -> T:
        """Run ``function(*args)`` in a child. Cancelling the call kills the child.

        ``function`` must be defined at its module's top level. ``returns`` is the type of its
        result, made of dataclasses and built-in types; the child's answer is validated against it.
        The time limit begins once a child is free, so that waiting does not count.

        Raises:
            PaperError: raised by the function; ExtractionTimeout and ExtractionCrashed by the pool.
        """
        request = _encode(function, args)
        async with self._slots:
            for _ in range(_ATTEMPTS):
                try:
                    outcome = await self._attempt(request, returns)
                except _NotTaken:
                    continue
                if isinstance(outcome, PaperError):
                    raise outcome
                return outcome
        raise ExtractionCrashed("The process for reading the file has ended.", param="file")

    async def _attempt(self, request: Sequence[memoryview], returns: type[T]) -> T | PaperError:
        child = self._idle.pop() if self._idle else await self._start()
        wall_s, cpu_s = self._settings.extract_timeout_s, self._settings.extract_cpu_s
        sound = False
        try:
            async with asyncio.timeout(wall_s):
                await child.give(request)
                outcome = await child.answer(returns)
            child.documents += 1
            sound = child.documents < self._settings.extract_documents_per_worker
        except TimeoutError as error:
            raise ExtractionTimeout(
                f"The file took longer than {wall_s:g} s to read.", param="file"
            ) from error
        except _Broken as error:
            await self._end(child)
            if child.process.returncode == -signal.SIGXCPU:
                raise ExtractionTimeout(
                    f"The file took more than {cpu_s} s of CPU time to read.", param="file"
                ) from error
            status = child.process.returncode
            log.warning("a file crashed the process that read it: %s (status %s)", error, status)
            raise ExtractionCrashed(
                "The file crashed the process that read it, or needs too much memory.",
                param="file",
            ) from error
        finally:
            if sound and not self._closed:
                self._idle.append(child)
            else:
                await self._end(child)
        return outcome

    async def _start(self) -> _Child:
        """Start a child, and wait until it is ready.

        Raises:
            RuntimeError: it does not start.
        """
        if self._closed:
            raise RuntimeError("the pool of worker processes is closed")
        with anyio.CancelScope(shield=True):
            child = await _spawn(self._settings)
            self._children.add(child)
            try:
                await child.expect(READY)
            except BaseException as error:
                await self._end(child)
                if not isinstance(error, _Broken):
                    raise
                raise RuntimeError("a worker process ended before it was ready") from error
        return child

    async def _end(self, child: _Child) -> None:
        """Kill a child and wait for its end; idempotent."""
        with anyio.CancelScope(shield=True):
            if child.reader.at_eof() or child.writer.is_closing():
                # asyncio loses the exit status of a process that it kills while it is dying.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_DYING_S):
                        await child.process.wait()
            child.kill()
            await child.process.wait()
        self._children.discard(child)


class _Broken(Exception):
    """A child has ended, or violates the protocol."""


class _NotTaken(Exception):
    """A child has ended before it had received the document."""


@dataclass(eq=False, slots=True)
class _Child:
    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    documents: int = 0

    async def give(self, request: Sequence[memoryview]) -> None:
        try:
            for frame in request:
                self.writer.write(HEADER.pack(REQUEST, len(frame)))
                # In pieces: the transport copies what the socket does not take at once.
                for start in range(0, len(frame), _MIB):
                    self.writer.write(frame[start : start + _MIB])
                    await self.writer.drain()
            await self.expect(TAKEN)
        except (_Broken, ConnectionError) as error:
            raise _NotTaken from error

    async def answer(self, returns: type[T]) -> T | PaperError:
        kind, payload = await self.receive()
        try:
            if kind == RESULT:
                return msgspec.msgpack.decode(payload, type=returns)
            if kind == REFUSAL:
                return _as_error(msgspec.msgpack.decode(payload, type=Refusal))
        except (ValueError, RecursionError) as error:
            # Not the error's text, which may quote the answer.
            raise _Broken(f"its answer is invalid ({type(error).__name__})") from error
        fault = payload.decode("utf-8", "replace") if kind == FAULT else ""
        raise _Broken(fault if _LOGGABLE_FAULT.fullmatch(fault) else "no answer")

    async def expect(self, kind: bytes) -> None:
        if await self.receive() != (kind, b""):
            raise _Broken("an unexpected message")

    async def receive(self) -> tuple[bytes, bytes]:
        """The kind and payload of the next frame."""
        try:
            kind, size = HEADER.unpack(await self.reader.readexactly(HEADER.size))
            if size > _LARGEST_ANSWER:
                raise _Broken(f"an answer of {size} bytes")
            return kind, await self.reader.readexactly(size)
        except (EOFError, ConnectionError) as error:
            raise _Broken("it ended") from error

    def kill(self) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


async def _spawn(settings: Settings) -> _Child:
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "app.paper.worker"),
                *(str(os.getpid()), str(settings.extract_memory_mb * _MIB)),
                str(settings.extract_cpu_s),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                env=_environment(),
                # So that Ctrl-C on a terminal reaches only the service, which ends its children.
                start_new_session=True,
            )
        except BaseException:
            writer.transport.abort()
            raise
    return _Child(process, reader, writer)


def _environment() -> dict[str, str]:
    """The environment of a child, with the same import path as this process."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    imports = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    return passed | _ONE_THREAD | {"PYTHONPATH": imports}


def _encode(function: Callable[..., object], args: Sequence[object]) -> list[memoryview]:
    """The frames of a request: a pickle, then the ``bytes`` among ``args``, without copying
    them.
    """
    buffers: list[pickle.PickleBuffer] = []
    apart = [pickle.PickleBuffer(arg) if isinstance(arg, bytes) else arg for arg in args]
    request = pickle.dumps((function, apart), protocol=5, buffer_callback=buffers.append)
    return [memoryview(request), *(buffer.raw() for buffer in buffers)]


def _as_error(refusal: Refusal) -> PaperError:
    kind = getattr(errors, refusal.name, None)
    if not (isinstance(kind, type) and issubclass(kind, PaperError)):
        raise ValueError("not a PaperError")
    return kind(refusal.message, refusal.param, refusal.code)
