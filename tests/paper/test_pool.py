"""The worker processes: what a hostile document costs."""

from __future__ import annotations

import zlib
from pathlib import Path

import anyio
import psutil
import pytest

from app.errors import ExtractionCrashed, ExtractionTimeout, NotAPdf, PaperError
from app.paper.pool import PaperReader
from app.settings import Settings
from tests.conftest import SHARED
from tests.papers import paper_pdf

pytestmark = pytest.mark.anyio


@pytest.fixture
def reader() -> PaperReader:
    return PaperReader(Settings(extract_timeout_s=20, extract_memory_mb=512))


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "anyio.to_process" in child.cmdline()]


def bomb(repeats: int) -> bytes:
    """A page whose content inflates to text operators, ``repeats`` megabytes of them."""
    operators = b"BT /F1 9 Tf 72 700 Td (words and words and words) Tj ET\n"
    stream = zlib.compress(operators * (repeats * 1_000_000 // len(operators)), 9)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    pdf = b"%PDF-1.5\n"
    for number, body in enumerate(objects, 1):
        pdf += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    return pdf + b"trailer << /Root 1 0 R /Size 6 >>\n%%EOF"


async def test_errors_come_back_whole_from_the_worker(reader: PaperReader) -> None:
    with pytest.raises(NotAPdf) as raised:
        await reader.read(b"no pdf")
    assert (raised.value.code, raised.value.param) == ("not_a_pdf", "file")
    assert "%PDF-" in raised.value.message


@pytest.mark.parametrize("megabytes", [100, 400])
async def test_a_bomb_costs_its_own_request_and_nothing_else(
    reader: PaperReader, megabytes: int
) -> None:
    with pytest.raises(ExtractionCrashed):
        await reader.read(bomb(megabytes))
    for _ in range(3):
        assert (await reader.read(paper_pdf())).title


async def test_a_slow_one_is_stopped_in_time() -> None:
    hasty = PaperReader(Settings(extract_timeout_s=5, extract_memory_mb=8192))
    with anyio.fail_after(7), pytest.raises(ExtractionTimeout):
        await hasty.read(bomb(400))
    assert (await PaperReader(Settings()).read(paper_pdf())).title


async def test_a_worker_killed_at_work_costs_its_own_request(reader: PaperReader) -> None:
    await reader.read(paper_pdf())

    async def doomed() -> None:
        with pytest.raises(ExtractionCrashed, match="broke the process"):
            await reader.read(bomb(60))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(doomed)
        await anyio.sleep(0.3)
        for worker in workers():
            worker.kill()
    assert (await reader.read(paper_pdf())).title


async def test_workers_killed_while_idle_cost_nothing(reader: PaperReader) -> None:
    await reader.read(paper_pdf())
    for worker in workers():
        worker.kill()
    await anyio.sleep(0.3)
    assert (await reader.read(paper_pdf())).title


async def test_as_many_processes_as_set_and_kept_for_the_next(reader: PaperReader) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(reader.read, paper_pdf())
    kept = {worker.pid for worker in workers()}
    assert 1 <= len(kept) <= 2
    await reader.read(paper_pdf())
    assert {worker.pid for worker in workers()} <= kept


async def test_a_reader_that_nobody_waits_for_is_killed(reader: PaperReader) -> None:
    before = {worker.pid for worker in workers()}
    with anyio.move_on_after(0.5):
        await reader.read(bomb(60))
    assert not {worker.pid for worker in workers()} - before


async def test_odd_files_are_read_or_refused(reader: PaperReader) -> None:
    """150 odd and broken files from the suites of PDF libraries."""
    odd = SHARED / "pdfs" / "odd"
    if not odd.is_dir():
        pytest.skip("the shared odd files are not beside this checkout")
    codes: dict[str, int] = {}
    for data in _contents(odd):
        try:
            await reader.read(data)
            code = "read"
        except PaperError as error:
            code = error.code
        codes[code] = codes.get(code, 0) + 1
    assert sum(codes.values()) == 150
    # Most hold a line or two: too little for a paper.
    assert set(codes) == {"read", "pdf_no_text", "pdf_encrypted", "pdf_unreadable"}


def _contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.iterdir())]
