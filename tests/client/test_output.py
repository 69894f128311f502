"""``reviewer batch`` when its output, its table or its options can not be right."""

from __future__ import annotations

import resource
import signal
import subprocess
from pathlib import Path

import pytest

from tests.client.command import (
    REVIEWER,
    batch,
    begin,
    by_path,
    end,
    environment,
    lines,
)
from tests.client.stub import StubService, accepted
from tests.service import Service
from tests.waiting import wait_for


def test_two_runs_on_one_output(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "reviews.jsonl"
    with StubService(accepted(), polls=(accepted("in_progress"),)) as stub:
        words = ("--url", stub.url)
        running = begin(few, "--out", out, *words)
        wait_for(lambda: bool(stub.asked))
        second = batch(few, "--out", tmp_path / ".." / tmp_path.name / out.name, *words)
        assert running.poll() is None
        end(running, signal.SIGKILL)
    assert second.returncode == 2
    assert "another run is writing" in second.stderr


def test_a_disk_that_is_full(quick: Service, few: Path, tmp_path: Path) -> None:
    out = tmp_path / "reviews.jsonl"
    room = 10_000

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    words = (few, "--out", out, "--url", quick.url)
    done = subprocess.run(
        [REVIEWER, "batch", *words],
        env=environment(),
        capture_output=True,
        text=True,
        preexec_fn=little_room,
        timeout=120,
    )
    assert done.returncode == 3, done.stderr
    assert "can't be written: File too large" in done.stderr
    assert "The same command continues" in done.stderr
    assert 0 < len(by_path(out)) < 6
    assert batch(*words).returncode == 0
    assert len(by_path(out)) == 6


def test_another_run_s_output(quick: Service, few: Path, tmp_path: Path) -> None:
    out = tmp_path / "reviews.jsonl"
    assert batch(few, "--out", out, "--url", quick.url).returncode == 0
    before = out.read_bytes()
    other = batch(few, "--out", out, "--url", quick.url, "--template", "iclr")
    assert other.returncode == 2
    assert "has the reviews of another run (line 1: scripted, template default" in other.stderr
    assert "this run: template iclr" in other.stderr
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"%PDF-1.7 a paper", b"a\nb\n", b'{"path": 1}\n', b'{"path":"x"}\n{"pa', b"[1]"]
)
def test_an_output_that_is_somebody_s_file(few: Path, tmp_path: Path, content: bytes) -> None:
    out = tmp_path / "reviews.jsonl"
    out.write_bytes(content)
    done = batch(few, "--out", out, "--url", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "is not an output of 'reviewer batch'" in done.stderr
    assert out.read_bytes() == content


def test_a_table_that_is_somebody_s_file(few: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("name,salary\n")
    done = batch(few, "--out", tmp_path / "o", "--csv", table, "--url", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "is not a table of 'reviewer batch'" in done.stderr
    assert table.read_text() == "name,salary\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--out", "no/such/folder/o.jsonl"), "there is no folder"),
        (("--out", "."), "is not a file"),
        (("--out", "/dev/null"), "is not a file"),
        (("--out", "o.jsonl", "--csv", "o.jsonl"), "must be different files"),
        (("--out", "o.jsonl", "--csv", "no/such/t.csv"), "No such file"),
        (("--out", "o.jsonl", "--csv", "."), "is not a file"),
        (("--out", "o.jsonl", "--concurrency", "0"), "--concurrency"),
        ((), "Missing option '--out'"),
        (("--out", "o.jsonl", "--url", "nonsense"), "nonsense"),
        (("--out", "o.jsonl", "--url", "http://localhost:99999"), "is not an address"),
        (("--out", "o.jsonl", "--api-key", "clé"), "the API key contains invalid characters"),
    ],
)
def test_what_cannot_work_ends_with_a_message(
    few: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    inside = [
        str(tmp_path / word) if word.endswith((".", ".jsonl", ".csv")) else word for word in words
    ]
    inside += [] if "--url" in words else ["--url", "http://127.0.0.1:9"]
    done = batch(few, *inside)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_the_input_is_never_the_output(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path\nfew/000.pdf\n")
    done = batch(manifest, "--out", tmp_path / "o.jsonl", "--csv", manifest)
    assert done.returncode == 2
    assert manifest.read_text() == "path\nfew/000.pdf\n"


def test_a_template_that_is_not_there(quick: Service, few: Path, tmp_path: Path) -> None:
    out = tmp_path / "reviews.jsonl"
    done = batch(few, "--out", out, "--url", quick.url, "--template", "nips")
    assert done.returncode == 2
    assert "(unknown_template)" in done.stderr
    assert not lines(out)
