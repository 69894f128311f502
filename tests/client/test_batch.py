"""``reviewer batch`` against the real service around the engine double."""

from __future__ import annotations

import csv
import json
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from tests.client.command import (
    REVIEWER,
    batch,
    begin,
    by_path,
    end,
    environment,
    lines,
    read_terminal,
    tiny_papers,
    until_it_holds,
)
from tests.client.conftest import PAPERS
from tests.papers import blank_pdf, encrypted_pdf, paper_html, typeset
from tests.service import ScriptedService, Service, free_port


def test_killed_again_and_again_every_paper_comes_out_once(
    quick: Service, papers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "reviews.jsonl"
    words = (papers, "--out", out, "--url", quick.url)
    generator = random.Random(5)  # noqa: S311
    for held in (10, 25, 40):
        running = begin(*words)
        until_it_holds(out, held, running)
        end(running, signal.SIGKILL)
        # As if the kill had come in the middle of a write.
        last = out.read_bytes().splitlines()[-1]
        with out.open("ab") as file:
            file.write(last[: generator.randrange(1, len(last))])
    done = batch(*words)
    assert done.returncode == 0, done.stderr
    found = by_path(out)
    assert sorted(found) == [f"{number:03}.pdf" for number in range(PAPERS)]
    assert len({line["sha256"] for line in found.values()}) == PAPERS
    for name, line in found.items():
        assert line["status"] == "completed"
        assert line["review"]["paper"]["title"] == f"Paper Number {int(name[:3])}"
        assert line["review"]["paper"]["sha256"] == line["sha256"]
    assert re.search(
        rf"^{PAPERS} papers: {PAPERS} reviewed, 0 failed \(\d\d of", done.stdout, re.MULTILINE
    )


def test_what_is_done_is_not_asked_for_again(quick: Service, few: Path, tmp_path: Path) -> None:
    out = tmp_path / "reviews.jsonl"
    assert batch(few, "--out", out, "--url", quick.url).returncode == 0
    before = out.read_bytes()
    # No service is needed for that.
    again = batch(few, "--out", out, "--url", "http://127.0.0.1:9", "--csv", tmp_path / "t.csv")
    assert again.returncode == 0, again.stderr
    assert out.read_bytes() == before
    assert "6 papers: 6 reviewed, 0 failed (6 of them in earlier runs)" in again.stdout
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 7
    # A new name is no new paper; a new paper is.
    (few / "000.pdf").rename(few / "renamed.pdf")
    (few / "new.pdf").write_bytes(typeset(paper_html("A New Paper")))
    assert batch(few, "--out", out, "--url", quick.url).returncode == 0
    assert out.read_bytes().startswith(before)
    assert [line["path"] for line in lines(out)[6:]] == ["new.pdf"]
    # A file that has changed is a new paper: the old one's review stays.
    (few / "new.pdf").write_bytes(typeset(paper_html("A Newer Paper")))
    assert batch(few, "--out", out, "--url", quick.url).returncode == 0
    titles = [line["review"]["paper"]["title"] for line in lines(out)[6:]]
    assert titles == ["A New Paper", "A Newer Paper"]


def test_a_manifest_with_everything_that_goes_wrong(
    quick: Service, few: Path, tmp_path: Path
) -> None:
    (few / "locked.pdf").write_bytes(encrypted_pdf())
    (few / "empty.pdf").write_bytes(b"")
    (few / "text.pdf").write_bytes(b"This is no PDF.")
    (few / "blank.pdf").write_bytes(blank_pdf())
    shutil.copy(few / "000.pdf", few / "same.pdf")
    rows = [
        ("000.pdf", "1", "main"),
        ("same.pdf", "2", "=1+1"),
        ("locked.pdf", "3", "+1"),
        ("missing.pdf", "4", "-1"),
        ("empty.pdf", "5", "@x"),
        ("text.pdf", "6", '"quoted", and\nbroken'),
        ("blank.pdf", "7", "\t=1"),
        ("../few", "8", "＝1"),
        ("001.pdf", "9", ""),
        ("001.pdf", "9", ""),
    ]
    manifest = few / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "id", "=track"), *rows])
    out, table = tmp_path / "reviews.jsonl", tmp_path / "reviews.csv"
    words = (manifest, "--out", out, "--csv", table, "--url", quick.url)
    done = batch(*words)
    assert done.returncode == 1, done.stderr
    assert "row 11 of the manifest names 001.pdf again: reviewed once" in done.stderr
    assert "same.pdf: the same paper as another, reviewed once" in done.stderr
    assert "9 papers: 2 reviewed, 6 failed, 1 the same paper as another" in done.stdout
    assert "file_not_found 2" in done.stdout
    found = by_path(out)
    assert {path: line.get("error", {}).get("code") for path, line in found.items()} == {
        "000.pdf": None,
        "same.pdf": None,
        "locked.pdf": "pdf_encrypted",
        "missing.pdf": "file_not_found",
        "empty.pdf": "pdf_empty",
        "text.pdf": "not_a_pdf",
        "blank.pdf": "pdf_no_text",
        "../few": "file_not_found",
        "001.pdf": None,
    }
    assert found["same.pdf"]["duplicate_of"] == "000.pdf"
    assert found["same.pdf"]["status"] == "duplicate"
    assert found["locked.pdf"]["error"]["type"] == "invalid_request_error"
    assert {path: (line["id"], line["manifest"]) for path, line in found.items()} == {
        path: (id_, {"=track": track}) for path, id_, track in rows
    }
    check_the_table(table)

    # Only what is missing is looked for again; with --retry-failed all that failed is.
    before = Counter(line["review"]["id"] for line in found.values() if "review" in line)
    (few / "missing.pdf").write_bytes(typeset(paper_html("A Paper Found")))
    assert batch(*words).returncode == 1
    found = by_path(out)
    assert found["missing.pdf"]["review"]["paper"]["title"] == "A Paper Found"
    assert {line["path"] for line in lines(out)[-2:]} == {"missing.pdf", "../few"}
    assert batch(*words, "--retry-failed").returncode == 1
    assert {line["path"] for line in lines(out)[-5:]} >= {"locked.pdf", "empty.pdf", "text.pdf"}
    assert len(by_path(out)) == 9
    assert before < Counter(line["review"]["id"] for line in lines(out) if "review" in line)


def check_the_table(table: Path) -> None:
    """One row a paper, and no cell that a spreadsheet would run."""
    raw = table.read_text(encoding="utf-8-sig")
    assert len(raw.splitlines()) == 10
    header, *rows = csv.reader(raw.splitlines())
    assert header[-1] == "manifest.=track"
    by_name = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert by_name["000.pdf"]["decision"] == "accept"
    assert 0 < float(by_name["000.pdf"]["probability"]) < 1
    assert by_name["locked.pdf"]["error_code"] == "pdf_encrypted"
    assert {row["manifest.=track"] for row in by_name.values()} == {
        "main",
        "'=1+1",
        "'+1",
        "'-1",
        "'@x",
        '"quoted", and broken',
        "'=1",
        "'＝1",
        "",
    }
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    # Quoted, every one of them.
    assert any(line.startswith('"000.pdf","1","') for line in raw.splitlines())


def test_interrupted(papers: Path, tmp_path: Path) -> None:
    out = tmp_path / "reviews.jsonl"
    with ScriptedService(tmp_path / "log", SCRIPTED_DELAY_S="0.02") as service:
        words = (papers, "--out", out, "--url", service.url)
        for how, held in ((signal.SIGINT, 5), (signal.SIGTERM, 20)):
            running = begin(*words)
            until_it_holds(out, held, running)
            status, told = end(running, how)
            assert status == 130
            assert "The same command continues from here." in told
            assert "Traceback" not in told
            assert held <= len(by_path(out)) < PAPERS
        assert batch(*words).returncode == 0
    assert len(by_path(out)) == PAPERS


def test_a_service_that_is_down_at_first_and_dies_later(tmp_path: Path) -> None:
    papers = tiny_papers(tmp_path / "papers", 30)
    out = tmp_path / "reviews.jsonl"
    port = free_port()

    def start() -> Service:
        # What the first one leaves unfinished, the second one takes up after a second.
        settings = {"SCRIPTED_DELAY_S": "0.02", "REVIEWER_LEASE_S": "1"}
        return ScriptedService(tmp_path / "log", port, **settings)

    running = begin(papers, "--out", out, "--url", f"http://127.0.0.1:{port}")
    try:
        time.sleep(1)
        with start() as service:
            until_it_holds(out, 10, running)
            service.process.kill()
        time.sleep(1)
        with start():
            _, told = running.communicate(timeout=200)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 0, told
    assert "does not answer" in told
    assert len(by_path(out)) == 30
    assert {line["status"] for line in lines(out)} == {"completed"}


def test_progress_on_a_terminal(quick: Service, few: Path, tmp_path: Path) -> None:
    (few / "locked.pdf").write_bytes(encrypted_pdf())
    reading, writing = pty.openpty()
    process = subprocess.Popen(
        [REVIEWER, "batch", few, "--out", tmp_path / "reviews.jsonl", "--url", quick.url],
        env=environment(TERM="xterm"),
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
    )
    os.close(writing)
    screen = read_terminal(reading)
    summary, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "7/7" in screen
    assert "a minute, 0:00:00 left, 1 failed" in screen
    assert "locked.pdf: pdf_encrypted" in screen
    assert "accept rate 100.0%" in summary
    assert "Failures: pdf_encrypted 1" in summary


def test_the_summary_s_numbers_are_the_output_s(quick: Service, few: Path, tmp_path: Path) -> None:
    out = tmp_path / "reviews.jsonl"
    done = batch(few, "--out", out, "--url", quick.url)
    probabilities = [line["review"]["verdict"]["probability"] for line in lines(out)]
    told = [int(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith("  ")]
    assert told == [
        sum(index <= 10 * probability < index + 1 for probability in probabilities)
        for index in range(10)
    ]
    assert json.loads(out.read_text().splitlines()[0])["model"] == "scripted"
