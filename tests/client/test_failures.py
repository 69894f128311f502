"""``reviewer batch`` when the service refuses, fails, is away, or is no reviewer."""

from __future__ import annotations

import os
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.client.command import REVIEWER, batch, by_path, environment, lines
from tests.client.stub import REVIEW, Answer, StubService, page, refused, reviewed


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """Four files that the stub takes for papers."""
    return files(tmp_path / "papers", 4)


def files(folder: Path, count: int, size: int = 10) -> Path:
    folder.mkdir()
    for number in range(count):
        with (folder / f"{number:04}.pdf").open("wb") as file:
            file.write(f"{number}".encode())
            file.truncate(size)
    return folder


def test_the_whole_resource_is_kept(papers: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "o.jsonl", tmp_path / "t.csv"
    with StubService(reviewed()) as stub:
        done = batch(papers, "--out", out, "--csv", table, "--url", f"{stub.url}/")
    assert done.returncode == 0, done.stderr
    assert [line["review"] for line in lines(out)] == [REVIEW] * 4
    assert table.read_text(encoding="utf-8-sig").count('"\'=1+1"') == 4


def test_retry_after_is_honoured(papers: Path, tmp_path: Path) -> None:
    busy = refused(429, "rate_limited", Retry_After="2")
    with StubService(busy, refused(503, "queue_full", Retry_After="1"), reviewed()) as stub:
        words = (papers, "--out", tmp_path / "o.jsonl", "--url", stub.url)
        done = batch(*words, "--concurrency", "1")
    assert done.returncode == 0, done.stderr
    first, second, *_ = (after - before for (before, _), (after, _) in pairwise(stub.asked))
    assert 2 <= first < 4
    assert 1 <= second < 3
    assert len(stub.asked) == 6


def test_so_many_in_flight_and_no_more(tmp_path: Path) -> None:
    papers = files(tmp_path / "papers", 24)
    with StubService(reviewed(), delay_s=0.2) as stub:
        words = (papers, "--out", tmp_path / "o.jsonl", "--url", stub.url)
        assert batch(*words, "--concurrency", "6").returncode == 0
    assert stub.most == 6


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refused(500, "internal_error", Retry_After="0"), "internal_error"),
        (refused(502, "upstream_error", Retry_After="0"), "upstream_error"),
        (refused(503, "engine_error", Retry_After="0"), "engine_error"),
        (page(500), "no_answer"),
        (reviewed(verdict=None), "no_answer"),
    ],
)
def test_a_paper_that_the_service_fails_on(tmp_path: Path, answer: Answer, code: str) -> None:
    """Four tries, then a line; the next run tries it again."""
    papers = files(tmp_path / "papers", 2)
    out = tmp_path / "o.jsonl"
    words = (papers, "--out", out, "--concurrency", "1", "--url")
    with StubService(*[answer] * 4, reviewed()) as stub:
        done = batch(*words, stub.url)
        assert done.returncode == 1, done.stderr
        assert len(stub.asked) == 5
        failed, well = lines(out)
        assert (failed["status"], failed["error"]["code"]) == ("failed", code)
        assert failed["transient"]
        assert well["status"] == "completed"
        assert batch(*words, stub.url).returncode == 0
        assert len(stub.asked) == 6
    assert {line["status"] for line in by_path(out).values()} == {"completed"}


def test_a_service_that_fails_on_everything(tmp_path: Path) -> None:
    papers, out = files(tmp_path / "papers", 40), tmp_path / "o.jsonl"
    words = (papers, "--out", out, "--url")
    with StubService(refused(500, "internal_error", Retry_After="0")) as stub:
        done = batch(*words, stub.url)
    assert done.returncode == 3
    assert "failed on 20 papers in a row" in done.stderr
    # Those in flight may come to their end, too.
    assert 20 <= len(lines(out)) < 28
    with StubService(reviewed()) as stub:
        assert batch(*words, stub.url).returncode == 0
    assert {line["status"] for line in by_path(out).values()} == {"completed"}
    assert len(by_path(out)) == 40


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refused(422, "pdf_no_text", "file"), "pdf_no_text"),
        (refused(413, "pdf_too_large", "file"), "pdf_too_large"),
        (refused(400, "prompt_too_long", "body"), "prompt_too_long"),
    ],
)
def test_a_paper_s_own_fault_is_not_tried_again(tmp_path: Path, answer: Answer, code: str) -> None:
    out = tmp_path / "o.jsonl"
    words = (files(tmp_path / "papers", 1), "--out", out, "--url")
    with StubService(answer) as stub:
        assert batch(*words, stub.url).returncode == 1
        assert batch(*words, stub.url).returncode == 1
        assert len(stub.asked) == 1
        assert batch(*words, stub.url, "--retry-failed").returncode == 1
        assert len(stub.asked) == 2
    (line,) = lines(out)
    assert line["error"]["code"] == code
    assert not line["transient"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (refused(401, "invalid_api_key"), "(invalid_api_key)"),
        (refused(403, "forbidden"), "(forbidden)"),
        (refused(404, "model_not_found", "model"), "(model_not_found)"),
        (refused(400, "unknown_template", "template"), "(unknown_template)"),
        (refused(400, "seed_unsupported", "samples"), "(seed_unsupported)"),
        (page(404), "answered 404, but not as a reviewer service does"),
        (reviewed(model="other"), "has reviews by stub, but the service runs other"),
    ],
)
def test_what_no_paper_would_survive_ends_the_run(
    papers: Path, tmp_path: Path, answer: Answer, told: str
) -> None:
    out = tmp_path / "o.jsonl"
    with StubService(reviewed(), answer) as stub:
        done = batch(papers, "--out", out, "--concurrency", "1", "--url", stub.url)
        assert done.returncode == 2
        assert told in done.stderr
        assert len(stub.asked) == 2
    assert len(lines(out)) == 1
    with StubService(reviewed()) as stub:
        assert batch(papers, "--out", out, "--url", stub.url).returncode == 0
    assert len(by_path(out)) == 4


@pytest.mark.parametrize("answer", [page(502), page(503), refused(503, "engine_unavailable")])
def test_a_service_that_stays_away(papers: Path, tmp_path: Path, answer: Answer) -> None:
    out = tmp_path / "o.jsonl"
    with StubService(reviewed(), answer) as stub:
        words = (papers, "--out", out, "--concurrency", "2", "--url", stub.url)
        done = batch(*words, "--patience", "3")
    assert done.returncode == 3
    assert "no answer for 3 s" in done.stderr
    assert "The same command continues from here." in done.stderr
    assert "4 papers: 1 reviewed, 0 failed, 3 to do" in done.stdout
    assert len(lines(out)) == 1


def test_a_model_that_never_comes(papers: Path, tmp_path: Path) -> None:
    with StubService(reviewed(), model=None) as stub:
        words = (papers, "--out", tmp_path / "o.jsonl", "--url", stub.url)
        done = batch(*words, "--patience", "2")
    assert done.returncode == 3
    assert "waiting: The model is not ready" in done.stderr


def test_another_model(papers: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    with StubService(reviewed()) as stub:
        assert batch(papers, "--out", out, "--url", stub.url).returncode == 0
        (papers / "new.pdf").write_bytes(b"new")
        stub.model = "another"
        done = batch(papers, "--out", out, "--url", stub.url)
    assert done.returncode == 2
    assert "has reviews by stub, but the service runs another: name another --out" in done.stderr


def test_the_key(papers: Path, tmp_path: Path) -> None:
    with StubService(reviewed()) as stub:
        words = (papers, "--url", stub.url, "--out")
        assert batch(*words, tmp_path / "1", "--api-key", "sk-1").returncode == 0
        assert batch(*words, tmp_path / "2", REVIEWER_API_KEY=" sk-2\n").returncode == 0
        assert batch(*words, tmp_path / "3").returncode == 0
    keys = [key for _, key in stub.asked]
    assert keys == ["Bearer sk-1"] * 4 + ["Bearer sk-2"] * 4 + [""] * 4
    assert "sk-1" not in (tmp_path / "1").read_text()


def test_a_password_in_the_address_is_not_written_down(papers: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    with StubService(page(500)) as stub:
        url = stub.url.replace("://", "://ann:pass-word@")
        told = batch(papers, "--out", out, "--url", url, "--patience", "1").stderr
    assert stub.url in out.read_text()
    assert "pass-word" not in out.read_text() + told
    told = batch(papers, "--out", out, "--url", "ftp://ann:pass-word@host").stderr
    assert "ftp://host is not an address" in told


def test_memory_does_not_grow_with_the_papers(tmp_path: Path) -> None:
    """400 files of 1 MB each, and their answers, are not held."""
    peaks = [
        peak_mb(files(tmp_path / f"papers{count}", count, 1_000_000), tmp_path / f"{count}.jsonl")
        for count in (20, 400)
    ]
    assert peaks[1] - peaks[0] < 20


def peak_mb(papers: Path, out: Path) -> float:
    with StubService(reviewed(text="x" * 50_000)) as stub:
        process = subprocess.Popen(
            [REVIEWER, "batch", papers, "--out", out, "--url", stub.url],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1e3
