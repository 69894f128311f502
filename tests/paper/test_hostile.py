"""Hostile and odd files: each ends in a paper or in an error with a code, in time."""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import psutil
import pytest

from app.errors import PaperError, PdfEmpty
from app.paper.reader import PaperReader
from app.paper.sources import File
from app.settings import Settings
from tests.conftest import SHARED
from tests.hostile import HOSTILE
from tests.papers import paper_pdf

pytestmark = pytest.mark.anyio

SETTINGS = Settings(extract_workers=2, extract_timeout_s=3, extract_memory_mb=768)
GOOD_AFTER = 10
"""Files between two papers that must read as always."""
LOOK_EVERY_S = 0.05
STARVED = {"extraction_crashed", "extraction_timeout"}
CERTAIN = {
    "text of 1 GB": STARVED,
    "forms, a thousand million": STARVED,
    "50,000 pages": {"pdf_too_many_pages"},
    "encrypted": {"pdf_encrypted"},
    "encrypted, opens without a password": {"read"},
    "PDF, then ZIP": {"read"},
    "JavaScript": {"read"},
    "HTML": {"not_a_pdf"},
    "nothing": {"pdf_empty"},
}


@dataclass
class Watched:
    """What became of the files, and what was seen meanwhile."""

    outcomes: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    most_children: int = 0
    peak_mib: float = 0
    longest_wait_s: float = 0
    """How late the event loop came back at worst."""

    async def look(self) -> None:
        while True:
            due = time.perf_counter() + LOOK_EVERY_S
            await anyio.sleep(LOOK_EVERY_S)
            self.longest_wait_s = max(self.longest_wait_s, time.perf_counter() - due)
            peaks = [worker_peak_mib(child) for child in psutil.Process().children()]
            peaks = [peak for peak in peaks if peak]
            self.most_children = max(self.most_children, len(peaks))
            self.peak_mib = max([self.peak_mib, *peaks])

    async def read(self, reader: PaperReader, files: Iterator[tuple[str, bytes]]) -> None:
        for name, data in files:
            with contextlib.suppress(PdfEmpty):
                # Whoever comes next after a fault waits for a fresh process; that is no reading.
                await reader.read(File(b""))
            started = time.perf_counter()
            try:
                await reader.read(File(data))
                self.outcomes[name] = "read"
            except PaperError as error:
                self.outcomes[name] = error.code
            self.seconds[name] = time.perf_counter() - started


def worker_peak_mib(child: psutil.Process) -> float:
    """Of its resident set; 0 where the process is gone or is no worker of a pool."""
    try:
        if "app.paper.worker" not in child.cmdline():
            return 0
        status = Path(f"/proc/{child.pid}/status").read_text(encoding="utf-8")
    except (psutil.Error, OSError):
        return 0
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(peak[1]) / 1024 if peak else 0


async def read_all(files: Mapping[str, bytes]) -> Watched:
    """Two at a time; after every few files a good paper, which must read as it did before."""
    watched, good = Watched(), File(paper_pdf())
    async with PaperReader(SETTINGS) as reader, anyio.create_task_group() as beside:
        beside.start_soon(watched.look)
        expected = await reader.read(good)
        names = list(files)
        for start in range(0, len(names), GOOD_AFTER):
            some = ((name, files[name]) for name in names[start : start + GOOD_AFTER])
            async with anyio.create_task_group() as readers:
                for _ in range(SETTINGS.extract_workers):
                    readers.start_soon(watched.read, reader, some)
            assert await reader.read(good) == expected
        beside.cancel_scope.cancel()
    return watched


async def check(files: Mapping[str, bytes]) -> Watched:
    before = set(psutil.Process().children())
    watched = await read_all(files)
    slowest = max(watched.seconds, key=watched.seconds.__getitem__)
    print(  # noqa: T201  # shown where the test fails, and by -rP
        f"{Counter(watched.outcomes.values())}\n"
        f"slowest: {slowest}, {watched.seconds[slowest]:.2f} s; "
        f"peak {watched.peak_mib:.0f} MiB; most workers {watched.most_children}; "
        f"the event loop waited {1000 * watched.longest_wait_s:.0f} ms at most"
    )
    assert not set(psutil.Process().children()) - before
    assert watched.outcomes.keys() == files.keys()
    late = {name for name, s in watched.seconds.items() if s > SETTINGS.extract_timeout_s + 1}
    assert not late
    assert 1 <= watched.most_children <= SETTINGS.extract_workers
    assert 0 < watched.peak_mib <= SETTINGS.extract_memory_mb
    assert watched.longest_wait_s < 0.5
    return watched


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the peak memory is read from /proc")
async def test_hostile_files() -> None:
    watched = await check({name: make() for name, make in HOSTILE.items()})
    assert len(watched.outcomes) >= 30
    assert "internal_error" not in watched.outcomes.values()
    for name, codes in CERTAIN.items():
        assert watched.outcomes[name] in codes, name


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the peak memory is read from /proc")
async def test_odd_files() -> None:
    """150 odd and broken files from the suites of PDF libraries."""
    odd = SHARED / "pdfs" / "odd"
    if not odd.is_dir():
        pytest.skip("the shared odd files are not beside this checkout")
    watched = await check({file.name: file.read_bytes() for file in sorted(odd.iterdir())})
    assert len(watched.outcomes) == 150
    # Most hold a line or two: too little for a paper.
    assert set(watched.outcomes.values()) <= {
        "read",
        "pdf_no_text",
        "pdf_encrypted",
        "pdf_unreadable",
    }
