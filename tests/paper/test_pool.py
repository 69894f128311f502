"""The worker processes: what a document, or whoever took a process over by one, can do."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import psutil
import pytest

from app.errors import ExtractionCrashed, ExtractionTimeout, PdfEncrypted
from app.paper.model import Paper
from app.paper.pdf.extract import ExtractOptions
from app.paper.pool import WorkerPool
from app.paper.reading import read_file
from app.settings import Settings
from tests.hostile import text_bomb
from tests.papers import encrypted_pdf, paper_pdf

pytestmark = pytest.mark.anyio

MIB = 2**20
SETTINGS = Settings(extract_timeout_s=20, extract_memory_mb=512)
SPIN = "sum(range(10**12))"
"""Runs in C for hours: no signal handler or thread of Python's gets a turn."""

# Expressions that ``eval`` meets in the worker's loop, among its names.
DAMAGE = {
    "garbage": "channel.write(b'garbage' * 99)",
    "an early hang-up": "channel.write(HEADER.pack(RESULT, 99)), channel.flush(), os._exit(0)",
    "half a header": "channel.write(RESULT), channel.flush(), os._exit(0)",
    "an answer without end": "_send(channel, RESULT, b'x' * 2**28)",
    "another type": "'text'",
    "an object for an error": "_send(channel, REFUSAL, b'')",
    "an error that is not a paper's": (
        "_send(channel, REFUSAL, msgspec.msgpack.encode(Refusal('ReviewerError', '', None, '')))"
    ),
    "a class that is no error": (
        "_send(channel, REFUSAL, msgspec.msgpack.encode(Refusal('Any', '', None, '')))"
    ),
    "nesting": "_send(channel, RESULT, b'\\x91' * 10**6)",
    "a closed channel": "os.closerange(3, 99)",
    "an orderly exit": "sys.exit()",
    "an abort": "os.abort()",
    "an exception": "1 / 0",
    "too much memory": "bytes(2**30)",
}


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(SETTINGS) as pool:
        yield pool


def workers() -> set[psutil.Process]:
    return {child for child in psutil.Process().children() if is_worker(child)}


def is_worker(process: psutil.Process) -> bool:
    # What other tests have started may be ending just now.
    with contextlib.suppress(psutil.NoSuchProcess):
        return "app.paper.worker" in process.cmdline()
    return False


async def number(pool: WorkerPool, expression: str) -> int:
    """What the expression, a number, is in a worker."""
    return await pool.run(eval, expression, returns=int)


async def read(pool: WorkerPool, data: bytes) -> Paper:
    return await pool.run(read_file, data, "", ExtractOptions(max_pages=200), returns=Paper)


async def test_errors_come_back_whole_and_leave_the_worker_as_it_was(pool: WorkerPool) -> None:
    assert (await read(pool, paper_pdf())).title
    before = workers()
    with pytest.raises(PdfEncrypted) as raised:
        await read(pool, encrypted_pdf())
    assert (raised.value.code, raised.value.param) == ("pdf_encrypted", "file")
    assert "password" in raised.value.message
    assert workers() == before


@pytest.mark.parametrize("megabytes", [100, 400])
async def test_a_bomb_costs_its_own_request_and_nothing_else(
    pool: WorkerPool, megabytes: int
) -> None:
    with pytest.raises(ExtractionCrashed):
        await read(pool, text_bomb(megabytes))
    for _ in range(3):
        assert (await read(pool, paper_pdf())).title


@pytest.mark.parametrize("damage", DAMAGE)
async def test_whatever_a_worker_sends_costs_one_request(pool: WorkerPool, damage: str) -> None:
    with pytest.raises(ExtractionCrashed, match="crashed the process"):
        await number(pool, DAMAGE[damage])
    assert await number(pool, "6 * 7") == 42
    assert len(workers()) == 1


@pytest.mark.parametrize(
    "telling",
    [
        "_send(channel, FAULT, b'the text of a paper')",
        "_send(channel, FAULT, b'KeyError at x.py:1 the text of a paper')",
        "_send(channel, RESULT, msgspec.msgpack.encode('the text of a paper'))",
        "_send(channel, REFUSAL, b'the text of a paper')",
        "{}['the text of a paper']",
    ],
)
async def test_a_worker_that_a_document_has_taken_over_writes_nothing_into_the_log(
    pool: WorkerPool, caplog: pytest.LogCaptureFixture, telling: str
) -> None:
    with pytest.raises(ExtractionCrashed):
        await number(pool, telling)
    assert "crashed the process" in caplog.text
    assert "the text of a paper" not in "".join(r.getMessage() for r in caplog.records)


async def test_an_ordinary_fault_is_told_with_its_place(
    pool: WorkerPool, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ExtractionCrashed):
        await pool.run(read_file, b"words", None, ExtractOptions(200), returns=Paper)  # type: ignore[arg-type]
    assert re.search(r"crashed the process that read it: \w+ at \w+\.py:\d+", caplog.text)


async def test_what_libraries_print_is_no_answer(pool: WorkerPool) -> None:
    assert await number(pool, "[os.write(fd, b'x' * 99) for fd in (0, 1, 2)][0]") == 99


async def test_wall_clock() -> None:
    async with WorkerPool(Settings(extract_timeout_s=1)) as pool:
        with pytest.raises(ExtractionTimeout, match="longer than 1 s"):
            await number(pool, SPIN)
        assert await number(pool, "6 * 7") == 42


async def test_cpu_time_is_counted_for_each_document() -> None:
    async with WorkerPool(Settings(extract_cpu_s=1, extract_workers=1)) as pool:
        used = "sum(range(2 * 10**7)) and os.getpid()"
        children = {await number(pool, used) for _ in range(5)}
        assert len(children) == 1
        with pytest.raises(ExtractionTimeout, match="1 s of CPU time"):
            await number(pool, SPIN)
        assert await number(pool, "os.getpid()") not in children


async def test_a_worker_can_write_no_file(pool: WorkerPool, tmp_path: Path) -> None:
    file = tmp_path / "file"
    with pytest.raises(ExtractionCrashed):
        await number(pool, f"Path({str(file)!r}).write_text('text')")
    assert not file.stat().st_size


async def test_limits_of_a_worker(pool: WorkerPool) -> None:
    async def limit(kind: int) -> tuple[int, int]:
        return await pool.run(resource.getrlimit, kind, returns=tuple[int, int])

    assert await limit(resource.RLIMIT_AS) == (512 * MIB, 512 * MIB)
    assert await limit(resource.RLIMIT_FSIZE) == (0, 0)


async def test_a_worker_killed_at_work_costs_its_own_request(pool: WorkerPool) -> None:
    async with anyio.create_task_group() as tasks:

        async def doomed() -> None:
            with pytest.raises(ExtractionCrashed, match="crashed the process"):
                await number(pool, SPIN)

        await number(pool, "1")
        tasks.start_soon(doomed)
        await anyio.sleep(0.2)
        for worker in workers():
            worker.kill()
    assert await number(pool, "6 * 7") == 42


@pytest.mark.parametrize("pause", [0, 0.3])
async def test_workers_killed_while_idle_cost_nothing(pool: WorkerPool, pause: float) -> None:
    await number(pool, "1")
    for worker in workers():
        worker.kill()
    await anyio.sleep(pause)
    assert await number(pool, "6 * 7") == 42


async def test_a_worker_killed_while_it_receives_costs_nothing(pool: WorkerPool) -> None:
    await number(pool, "1")
    (stopped,) = workers()
    stopped.suspend()
    lengths = []

    async def measure() -> None:
        lengths.append(await pool.run(len, bytes(50_000_000), returns=int))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(measure)
        await anyio.sleep(0.2)
        stopped.kill()
    assert lengths == [50_000_000]


async def test_as_many_processes_as_set_and_kept_for_the_next(pool: WorkerPool) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(read, pool, paper_pdf())
    kept = workers()
    assert len(kept) == 2
    await read(pool, paper_pdf())
    assert workers() == kept


async def test_a_fresh_process_after_so_many_documents() -> None:
    async with WorkerPool(Settings(extract_workers=1, extract_documents_per_worker=3)) as pool:
        children = [await number(pool, "os.getpid()") for _ in range(7)]
    assert [children.count(child) for child in dict.fromkeys(children)] == [3, 3, 1]


async def test_a_fresh_process_after_one_that_keeps_much_memory(pool: WorkerPool) -> None:
    # Libraries take more or less of it, by the machine: so a share of what they leave.
    room = f"({SETTINGS.extract_memory_mb} * 2**20 - _address_space())"
    full = await number(pool, f"globals().update(kept=bytes({room} * 7 // 10)) or os.getpid()")
    assert await number(pool, "os.getpid()") != full


async def test_a_document_that_nobody_waits_for_is_dropped_at_once(pool: WorkerPool) -> None:
    await number(pool, "1")
    with anyio.move_on_after(0.3):
        await number(pool, SPIN)
    assert not workers()
    assert await number(pool, "6 * 7") == 42


async def test_closing_ends_all_also_those_at_work() -> None:
    async def doomed(pool: WorkerPool) -> None:
        with pytest.raises(ExtractionCrashed):
            await number(pool, SPIN)

    with anyio.fail_after(40):  # against a hang, and less than SPIN's limit
        async with anyio.create_task_group() as tasks:
            async with WorkerPool(SETTINGS) as pool:
                await number(pool, "1")
                tasks.start_soon(doomed, pool)
                await anyio.sleep(0.1)
                await number(pool, "1")
                assert len(workers()) == 2
            assert not workers()


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_a_worker_in_the_middle_of_work_ends_with_the_service() -> None:
    script = (
        "import anyio\nfrom app.paper.pool import WorkerPool\nfrom app.settings import Settings\n"
        "async def main():\n"
        "    async with WorkerPool(Settings(extract_workers=1)) as pool:\n"
        "        print(await pool.run(eval, 'os.getpid()', returns=int), flush=True)\n"
        f"        await pool.run(eval, '{SPIN}', returns=int)\n"
        "anyio.run(main)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        worker = psutil.Process(int(service.stdout.readline()))
        time.sleep(0.2)
        assert worker.is_running()
        service.kill()
    worker.wait(timeout=5)


async def test_a_worker_has_no_secrets_and_needs_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REVIEWER_UPSTREAM_API_KEY", "secret")
    monkeypatch.chdir(tmp_path)
    async with WorkerPool(SETTINGS) as pool:
        environment = await pool.run(eval, "dict(os.environ)", returns=dict[str, str])
        assert await number(pool, "sys.path.count('')") == 0
    assert "PATH" in environment
    assert "secret" not in environment.values()


async def test_a_worker_has_no_file_of_the_service_open(pool: WorkerPool) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    await number(pool, "1")
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


async def test_bytes_both_ways(pool: WorkerPool) -> None:
    data = os.urandom(5_000_000)
    assert await pool.run(bytes.lower, data, returns=bytes) == data.lower()
