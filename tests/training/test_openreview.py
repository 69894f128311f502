"""Papers from OpenReview."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.papers import paper_pdf
from tests.training.collecting import collected
from tests.training.openreview_stub import OpenReviewStub, Submission, serve_openreview
from tests.training.recipes import recipe_file
from training.collect import STAGE
from training.errors import InputMissing
from training.rows import load_papers
from training.stage import run_stage


def test_openreview_papers_are_read_rated_and_decided(tmp_path: Path) -> None:
    submissions = [
        Submission("aaa", "First", rating="6: Marginally above", decision="Accept (Poster)"),
        Submission("bbb", "Second", rating="3: Clear rejection", decision="Reject"),
        Submission("ccc", "Third", rating="5: Borderline", decision="", pdf=b"%PDF-1.4 broken"),
    ]
    with serve_openreview(submissions) as stub:
        source = {"kind": "openreview", "venues": ["ICLR.cc/2020/Conference"], "url": stub.url}
        _, papers, _, rejected = collected(tmp_path, [source])
        first = papers["openreview/ICLR.cc-2020-Conference/aaa"]
        assert (first.title, first.decision, first.ratings) == ("First", "accept", (6.0,))
        assert first.decision_source == "OpenReview: ICLR.cc/2020/Conference/Paper1/-/Decision"
        assert any(section.text for section in first.sections)
        assert papers["openreview/ICLR.cc-2020-Conference/bbb"].decision == "reject"
        assert [row.id[-3:] for row in rejected] == ["ccc"]
        assert rejected[0].reason.startswith("pdf_")


def test_openreview_pdfs_are_not_fetched_twice(tmp_path: Path) -> None:
    submissions = [Submission(name, name, rating="6", decision="Accept") for name in "abc"]
    with serve_openreview(submissions) as stub:
        source = {"kind": "openreview", "venues": ["ICLR.cc/2020/Conference"], "url": stub.url}
        stub.refuse_pdf = "b"
        _, papers, _, rejected = collected(tmp_path, [source])
        # One that can't be had costs its own paper only.
        assert [(row.id[-1], row.reason) for row in rejected] == [("b", "pdf_unavailable")]
        assert "not now" in rejected[0].detail
        assert len(papers) == 2
        stub.refuse_pdf = ""
        run_stage(STAGE, tmp_path / "recipe.yaml", again=True)
        assert stub.pdfs_sent == ["a", "c", "b"]
        assert len(load_papers(tmp_path / "out" / "collect" / "papers.jsonl")) == 3


def openreview_source(stub: OpenReviewStub) -> dict[str, Any]:
    return {"kind": "openreview", "venues": ["ICLR.cc/2020/Conference"], "url": stub.url}


def test_the_text_is_that_of_the_last_revision_before_the_reviews(tmp_path: Path) -> None:
    final = paper_pdf(title="The Final Title of the Camera Ready Version")
    accepted = Submission("a", "A", rating="8", decision="Accept", camera_ready=final)
    with serve_openreview([accepted]) as stub:
        _, papers, _, _ = collected(tmp_path, [openreview_source(stub)])
    downloads = tmp_path / "out" / "collect" / "openreview"
    assert [file.name for file in downloads.iterdir()] == ["a-sent.pdf"]
    assert len(papers) == 1


def test_a_rating_is_read_from_the_recommendation_too(tmp_path: Path) -> None:
    rated = Submission("a", "A", "8: accept, good paper", "Accept", rated_in="recommendation")
    with serve_openreview([rated]) as stub:
        _, papers, _, _ = collected(tmp_path, [openreview_source(stub)])
    (paper,) = papers.values()
    assert (paper.ratings, paper.decision) == ((8.0,), "accept")


def test_pdfs_that_fail_one_after_the_other_end_the_stage(tmp_path: Path) -> None:
    submissions = [Submission(name, name, rating="6", decision="Accept") for name in "abcdefg"]
    with serve_openreview(submissions) as stub:
        stub.challenge = "pdf"
        with pytest.raises(InputMissing, match=r"5 PDFs in a row.*web page.*OPENREVIEW_USERNAME"):
            collected(tmp_path, [openreview_source(stub)])
        stub.challenge = ""
        assert len(collected(tmp_path, [openreview_source(stub)])[1]) == 7


def test_a_web_page_in_place_of_data_asks_for_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENREVIEW_USERNAME", raising=False)
    monkeypatch.delenv("OPENREVIEW_PASSWORD", raising=False)
    with serve_openreview([]) as stub:
        stub.challenge = "notes"
        with pytest.raises(InputMissing, match="set OPENREVIEW_USERNAME and OPENREVIEW_PASSWORD"):
            collected(tmp_path, [openreview_source(stub)])
        monkeypatch.setenv("OPENREVIEW_USERNAME", "a@b.c")
        monkeypatch.setenv("OPENREVIEW_PASSWORD", "wrong")
        stub.password = "right"  # noqa: S105
        with pytest.raises(InputMissing, match=r"refuses the login.*Invalid username or password"):
            collected(tmp_path, [openreview_source(stub)])
        monkeypatch.setenv("OPENREVIEW_PASSWORD", "right")
        with pytest.raises(InputMissing, match="to show that you are human"):
            collected(tmp_path, [openreview_source(stub)])


def test_a_killed_collect_ends_with_the_same(tmp_path: Path) -> None:
    submissions = [Submission(name, name, rating="6", decision="Accept") for name in "abc"]
    with serve_openreview(submissions) as stub:
        source = {"kind": "openreview", "venues": ["ICLR.cc/2020/Conference"], "url": stub.url}
        recipe = recipe_file(tmp_path, collect={"sources": [source]})
        stub.hang_pdf = "c"
        command = [sys.executable, "-m", "training.collect", "--recipe", str(recipe)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            cache = tmp_path / "out" / "collect" / "openreview.jsonl"
            ends = time.monotonic() + 120
            while not (cache.exists() and len(cache.read_bytes().splitlines()) == 2):
                assert time.monotonic() < ends
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
        stub.hang_pdf = ""
        killed, *_ = collected(tmp_path, [source])
        assert stub.pdfs_sent == ["a", "b", "c"]
        (tmp_path / "whole").mkdir()
        whole, *_ = collected(tmp_path / "whole", [source])
    assert killed.resumed
    assert killed.outputs == whole.outputs


def test_a_venue_that_openreview_does_not_have_is_told(tmp_path: Path) -> None:
    with serve_openreview([]) as stub:
        source = {"kind": "openreview", "venues": ["ICLR.cc/1999/Conference"], "url": stub.url}
        with pytest.raises(InputMissing, match=r"lists no submissions to ICLR\.cc/1999"):
            collected(tmp_path, [source])
