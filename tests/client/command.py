"""``reviewer batch`` as a person calls it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.papers import paper_html, typeset

REVIEWER = Path(sys.executable).with_name("reviewer")

Line = dict[str, Any]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200", **more}


def batch(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [REVIEWER, "batch", *words],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=240,
    )


def begin(*words: str | Path, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [REVIEWER, "batch", *words],
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines(out: Path) -> list[Line]:
    """Of a file that ends with a whole line."""
    text = out.read_text(encoding="utf-8")
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def by_path(out: Path) -> dict[str, Line]:
    found = {line["path"]: line for line in lines(out)}
    assert len(found) == len(lines(out))
    return found


def tiny_papers(folder: Path, count: int) -> Path:
    """So many PDFs, each its own."""
    folder.mkdir(exist_ok=True)
    for number, pdf in enumerate(tiny_pdfs(count)):
        (folder / f"{number:03}.pdf").write_bytes(pdf)
    return folder


def tiny_pdfs(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield typeset(paper_html(f"Paper Number {number}", words_per_section=10))


def until_it_holds(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        if out.exists() and out.read_bytes().count(b"\n") >= count:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError(f"{out} does not come to {count} lines")


def read_terminal(reading: int) -> str:
    """All that is shown on a pseudo-terminal, until its other end is closed."""
    shown = b""
    with contextlib.suppress(OSError):  # Linux' way to say that it is closed
        while chunk := os.read(reading, 65536):
            shown += chunk
    os.close(reading)
    return shown.decode()


def end(process: subprocess.Popen[str], how: signal.Signals) -> tuple[int, str]:
    process.send_signal(how)
    _, told = process.communicate(timeout=60)
    return process.returncode, told
