"""The worker processes: what a hostile document costs."""

from __future__ import annotations

import time
import zlib
from collections.abc import AsyncGenerator
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
async def reader() -> AsyncGenerator[PaperReader, None]:
    reader = PaperReader(Settings(extract_timeout_s=3, extract_memory_mb=512))
    yield reader
    await reader.close()
    assert not [child for child in psutil.Process().children() if "spawn" in str(child.cmdline())]


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
    started = time.monotonic()
    with pytest.raises((ExtractionCrashed, ExtractionTimeout, PaperError)):
        await reader.read(bomb(megabytes))
    # The wall clock's limit of 3 s, and the start of a worker.
    assert time.monotonic() - started < 8
    assert (await reader.read(paper_pdf())).title


async def test_a_killed_worker_costs_its_own_request_and_nothing_else(reader: PaperReader) -> None:
    await reader.read(paper_pdf())

    async def doomed() -> None:
        with pytest.raises(ExtractionCrashed):
            await reader.read(bomb(60))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(doomed)
        await anyio.sleep(0.5)
        for child in psutil.Process().children():
            if "spawn_main" in str(child.cmdline()):
                child.kill()
    assert (await reader.read(paper_pdf())).title


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
