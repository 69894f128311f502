"""A child process that runs one function at a time: ``python -m app.paper.worker``.

It is started by :class:`app.paper.pool.WorkerPool` and speaks frames over the socket that is its
standard input. Down come pickles, which the service made; up goes MessagePack, which is data and
nothing else, because a hostile document may have taken this process over.
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
"""Begins a frame: its kind and the bytes that follow."""
READY, TAKEN, RESULT, REFUSAL, FAULT, REQUEST = b"+", b"t", b"r", b"e", b"f", b"q"
"""Kinds: started; has the whole request; the result; a PaperError; any other error; downwards."""

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h
_LONGEST_FAULT = 200


@dataclass(frozen=True, slots=True)
class Refusal:
    """A PaperError on its way up."""

    name: str
    message: str
    param: str | None
    code: str


def main() -> None:
    """Serve until the pool hangs up, or documents have left too much behind."""
    parent, memory, cpu_s = (int(argument) for argument in sys.argv[1:])
    _end_with(parent)
    # uvloop hands down whatever the service's libraries left inheritable.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    with socket.socket(fileno=os.dup(0)) as pool, pool.makefile("rwb") as channel:
        # Else the first document pays for the import.
        import app.paper.reading  # noqa: F401

        _hush()
        _confine(memory)
        _send(channel, READY)
        # Where documents have left behind so much, a next one might not find room enough.
        most = (_address_space() + memory) / 2
        while _serve_one(channel, cpu_s) and _address_space() < most:
            pass


def _serve_one(channel: BufferedRWPair, cpu_s: int) -> bool:
    """Whether there was one."""
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
        # MuPDF hangs after a failed allocation, even while Python winds down.
        os._exit(1)
    except Exception as error:  # noqa: BLE001  # the pool tells it, and ends this process
        kind, answer = FAULT, _told(error)
    _send(channel, kind, answer)
    return True


def _told(error: Exception) -> bytes:
    """What was raised and where; its message may hold the paper's text, which is in no log."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    told = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
    return told[:_LONGEST_FAULT].encode("utf-8", "replace")


def _receive(channel: BufferedRWPair) -> bytes | None:
    """The next frame, or None where the pool has hung up."""
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
    """End when the service does, also in the middle of a document; and gain no privilege."""
    if sys.platform != "linux":
        return
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the first call
        os._exit(1)
    with contextlib.suppress(OSError):
        # Where the machine runs out of memory, this process goes first and not the engine.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _hush() -> None:
    """What libraries print may be the paper's text, or fill the disk."""
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
    """So much from now on; SIGXCPU then ends the process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    until = math.ceil(usage.ru_utime + usage.ru_stime + seconds)
    resource.setrlimit(
        resource.RLIMIT_CPU, (until if hard == resource.RLIM_INFINITY else min(until, hard), hard)
    )


def _address_space() -> int:
    """What counts against RLIMIT_AS, in bytes."""
    if sys.platform != "linux":
        return 0
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
