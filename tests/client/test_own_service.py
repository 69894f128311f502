"""Commands without ``--url``: they start the service themselves, and leave nothing of it behind."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.client.command import (
    REVIEWER,
    batch,
    begin,
    by_path,
    environment,
    read_terminal,
    tiny_papers,
    until_it_holds,
)
from tests.papers import paper_pdf
from tests.service import SMALL
from tests.upstream import MODEL, ReviewUpstream

PAPERS = 8


@pytest.fixture(scope="module")
def upstream() -> Iterator[ReviewUpstream]:
    with ReviewUpstream(delay_s=0.02) as running:
        yield running


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The folder for temporary files; its path is short enough for a socket's."""
    with tempfile.TemporaryDirectory(prefix="r-") as folder:
        yield Path(folder)


def processes_of(command: subprocess.Popen[str]) -> list[psutil.Process]:
    """The command's process and all that it has started."""
    process = psutil.Process(command.pid)
    return [process, *process.children(recursive=True)]


def check_all_end(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive


def test_a_batch_that_is_killed_or_interrupted_leaves_no_process_behind(
    upstream: ReviewUpstream, temporary: Path, tmp_path: Path
) -> None:
    papers = tiny_papers(tmp_path / "papers", PAPERS)
    out = tmp_path / "o.jsonl"
    words = (papers, "--out", out, "--concurrency", "2")
    # What is for a service that others use is not for this one.
    of_others = {"REVIEWER_API_KEYS": '{"alice": "' + "0" * 64 + '"}', "REVIEWER_PORT": "1"}
    settings = {**upstream.settings, **of_others, "TMPDIR": str(temporary)}

    running = begin(*words, **settings)
    until_it_holds(out, 2, running)
    processes = processes_of(running)
    assert len(processes) > 1
    running.kill()
    _, said = running.communicate()
    check_all_end(processes)
    assert "loading the model" in said

    running = begin(*words, **settings)
    until_it_holds(out, 5, running)
    processes = processes_of(running)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    check_all_end(processes)
    found = by_path(out)
    assert {(line["model"], line["status"]) for line in found.values()} == {(MODEL, "completed")}

    # The one that was killed has left its folder, with no paper in it; the other one has not.
    (left,) = temporary.iterdir()
    assert left.stat().st_mode & 0o077 == 0
    assert not [file for file in left.rglob("*") if b"Paper Number" in read(file)]

    # Where nothing is to be done, nothing is started.
    finished = tmp_path / "finished"
    finished.mkdir()
    shutil.copy(papers / next(iter(found)), finished)
    done = batch(finished, *words[1:], **{**settings, "REVIEWER_UPSTREAM_URL": "http://0"})
    assert done.returncode == 0, done.stderr


def test_a_model_that_cannot_be_started_again_ends_a_batch_at_once(tmp_path: Path) -> None:
    papers = tiny_papers(tmp_path / "papers", 3 * PAPERS)
    out = tmp_path / "o.jsonl"
    with ReviewUpstream(delay_s=0.1) as upstream:
        # Its tokenizer is that of the model that it says it has.
        upstream.model = "smollm2"
        settings = upstream.settings.copy()
        del settings["REVIEWER_UPSTREAM_TOKENIZER"]
        running = begin(
            *(papers, "--out", out, "--concurrency", "1", "--patience", "600"), **settings
        )
        until_it_holds(out, 1, running)
        # While it answered chats it would count as alive.
        upstream.fault = "silent"
        upstream.model = "nobody/has-this-model"
        _, said = running.communicate(timeout=120)
    assert running.returncode == 2, said
    assert "model_not_on_disk" in said
    assert "HF_HUB_OFFLINE" in said
    assert all(line["status"] == "completed" for line in by_path(out).values())


def read(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""


def test_the_user_s_data_folder_is_left_alone(
    upstream: ReviewUpstream, data_dir: Path, tmp_path: Path
) -> None:
    """With the progress of a review on a real pseudo-terminal: it is for terminals only."""
    title = "Closing [/b] What Was Never Opened"
    paper = tmp_path / "paper.pdf"
    paper.write_bytes(paper_pdf(title))
    reading, writing = pty.openpty()
    process = subprocess.Popen(
        [REVIEWER, "review", paper, "--json"],
        env=environment(TERM="xterm", **upstream.settings),
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
    )
    os.close(writing)
    shown = read_terminal(reading)
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    review = json.loads(stdout)
    assert review["paper"]["title"] == title
    assert review["model"] == MODEL
    screen = shown.partition("Written by")[0]
    steps = ("loading the model", "extracted 3 pages", "writing")
    positions = [screen.index(step) for step in steps]
    assert positions == sorted(positions)
    assert not data_dir.exists()


def test_a_model_that_does_not_start(tmp_path: Path, temporary: Path) -> None:
    papers = tiny_papers(tmp_path / "papers", 1)
    settings = {
        "REVIEWER_ENGINE": "upstream",
        "REVIEWER_UPSTREAM_URL": "http://127.0.0.1:9/v1",
        "TMPDIR": str(temporary),
    }
    done = batch(papers, "--out", tmp_path / "o.jsonl", **settings)
    assert done.returncode == 2
    assert re.search(r"^reviewer: .+ \(\w+\)$", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
    assert not list(temporary.iterdir())


def test_a_folder_for_temporary_files_that_is_too_deep_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    papers = tiny_papers(tmp_path / "papers", 1)
    done = batch(papers, "--out", tmp_path / "o.jsonl", TMPDIR=str(deep))
    assert done.returncode == 2
    assert "set TMPDIR to a shorter one" in done.stderr


def test_the_engine_ends_with_a_batch_that_is_killed(temporary: Path, tmp_path: Path) -> None:
    """The real small model, whose engine is a process of its own."""
    papers = tiny_papers(tmp_path / "papers", 4)
    out = tmp_path / "o.jsonl"
    settings = {**SMALL, "REVIEWER_MODEL": "smollm2", "TMPDIR": str(temporary)}
    running = begin(papers, "--out", out, "--verdict-only", "--concurrency", "1", **settings)
    until_it_holds(out, 1, running)
    processes = processes_of(running)
    assert [process for process in processes if "VLLM" in process.name()]
    running.kill()
    running.communicate()
    check_all_end(processes)
    assert {line["model"] for line in by_path(out).values()} == {"smollm2"}
