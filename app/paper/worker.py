"""A child process that runs one function at a time: ``python -m app.paper.worker``.

:class:`app.paper.pool.WorkerPool` starts it and exchanges frames with it over the socket that is
its standard input. Requests are pickles, which the service made. Answers are MessagePack, which
can't run code, because a hostile document may have taken over this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import traceback
from dataclasses import dataclass
from io import BufferedRWPair
from pathlib import Path

import msgspec

from app.errors import PaperError

HEADER = struct.Struct("!cQ")
"""A frame's header: its kind, and the number of bytes that follow."""
READY, TAKEN, RESULT, REFUSAL, FAULT, REQUEST = b"+", b"t", b"r", b"e", b"f", b"q"
"""Kinds of frames: started, request received, result, PaperError, other error; and a request."""

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h
_LONGEST_FAULT = 200


@dataclass(frozen=True, slots=True)
class Refusal:
    """A PaperError, as it is sent to the pool."""

    name: str
    message: str
    param: str | None
    code: str


def main() -> None:
    """Serve until the pool disconnects, or documents have leaked too much memory."""
    parent, memory, cpu_s = (int(argument) for argument in sys.argv[1:])
    _end_with(parent)
    # uvloop passes on file descriptors that the service's libraries left inheritable.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    with socket.socket(fileno=os.dup(0)) as pool, pool.makefile("rwb") as channel:
        # Import now, so that the time does not count for the first document.
        import app.paper.reading  # noqa: F401  # for its effect

        _hush()
        _confine(memory)
        _send(channel, READY)
        # Beyond this, leaked memory would leave too little for the next document.
        most = (_address_space() + memory) / 2
        while _serve_one(channel, cpu_s) and _address_space() < most:
            pass


def _serve_one(channel: BufferedRWPair, cpu_s: int) -> bool:
    """Serve one request; False if the pool has disconnected."""
    request = _receive(channel)
    if request is None:
        return False
    buffers = iter(lambda: _receive(channel), None)
    function, args = pickle.loads(request, buffers=buffers)  # noqa: S301  # made by the service
    _send(channel, TAKEN)
    _allow_cpu(cpu_s)
    try:
        kind, answer = RESULT, msgspec.msgpack.encode(function(*args))
    except PaperError as error:
        refusal = Refusal(type(error).__name__, error.message, error.param, error.code)
        kind, answer = REFUSAL, msgspec.msgpack.encode(refusal)
    except MemoryError:
        # MuPDF hangs after a failed allocation, even during Python's shutdown.
        os._exit(1)
    except Exception as error:  # noqa: BLE001  # the pool logs it, and ends this process
        kind, answer = FAULT, _described(error)
    _send(channel, kind, answer)
    return True


def _described(error: Exception) -> bytes:
    """The error's type and location, without its message, which may contain the paper's text."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    fault = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
    return fault[:_LONGEST_FAULT].encode("utf-8", "replace")


def _receive(channel: BufferedRWPair) -> bytes | None:
    """The next frame; None if the pool has disconnected."""
    header = channel.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    _, size = HEADER.unpack(header)
    frame = channel.read(size)
    return frame if len(frame) == size else None


def _send(channel: BufferedRWPair, kind: bytes, payload: bytes = b"") -> None:
    channel.write(HEADER.pack(kind, len(payload)))
    channel.write(payload)
    channel.flush()


def _end_with(parent: int) -> None:
    """Let the kernel kill this process when the service ends; and forbid new privileges."""
    if sys.platform != "linux":
        return
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # the service ended before the first call
        os._exit(1)
    with contextlib.suppress(OSError):
        # If the machine runs out of memory, this process is killed first, and not the engine.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _hush() -> None:
    """Discard the output of libraries, which may contain the paper's text or fill the disk."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)


def _confine(memory: int) -> None:
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def _allow_cpu(seconds: int) -> None:
    """Allow ``seconds`` of CPU time from now on; then SIGXCPU ends the process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    until = math.ceil(usage.ru_utime + usage.ru_stime + seconds)
    resource.setrlimit(
        resource.RLIMIT_CPU, (until if hard == resource.RLIM_INFINITY else min(until, hard), hard)
    )


def _address_space() -> int:
    """The process's address space in bytes, which RLIMIT_AS limits."""
    if sys.platform != "linux":
        return 0
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
