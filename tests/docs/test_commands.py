"""Every command in the documentation is run, or says why it is not.

A block of commands has one of these marks behind its language:

    ```sh test              run against the service with a scripted engine
    ```sh test-model        run against the session's service with the real small model
    ```sh no-test: reason   not run

A block runs in a folder with ``examples/``, ``papers/`` and ``.venv/``, as a checkout has them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, blocks
from tests.papers import EXAMPLES, paper_pdf
from tests.service import Service

COMMANDS = [block for block in blocks() if block.language in ("sh", "bash", "console", "python")]
SERVED = "http://127.0.0.1:8000"


def marked(mark: str) -> list[Block]:
    return [block for block in COMMANDS if block.mark == mark]


@pytest.mark.parametrize("block", COMMANDS, ids=lambda block: block.name)
def test_every_command_is_run_or_says_why_not(block: Block) -> None:
    assert block.mark in ("test", "test-model") or re.match(r"no-test: \S+ ", block.mark)


@pytest.mark.parametrize("block", marked("test"), ids=lambda block: block.name)
def test_with_a_scripted_engine(block: Block, quick: Service, tmp_path: Path) -> None:
    run(block, quick, tmp_path)


@pytest.mark.parametrize("block", marked("test-model"), ids=lambda block: block.name)
def test_with_the_small_model(block: Block, service: Service, tmp_path: Path) -> None:
    run(block, service, tmp_path)


def run(block: Block, service: Service, folder: Path) -> None:
    """Fails where a command does, or where the service answers with an error."""
    checkout(folder)
    text = block.text.replace(SERVED, service.url)
    shell = ["bash", "-euo", "pipefail", "-c"]
    done = subprocess.run(
        [*([sys.executable, "-c"] if block.language == "python" else shell), text],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    assert '"error": {' not in done.stdout.replace('"error":{', '"error": {')


def checkout(folder: Path) -> None:
    (folder / "examples").symlink_to(EXAMPLES)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "papers").mkdir()
    shutil.copy(EXAMPLES / "paper.pdf", folder / "papers")
    (folder / "papers" / "another.pdf").write_bytes(paper_pdf("Another Paper"))


def can_be_run(module: Path) -> bool:
    """With ``python -m``: a file, or a package that says what to run."""
    return module.with_suffix(".py").exists() or (module / "__main__.py").exists()


def test_programs_in_prose_exist() -> None:
    """``python -m benchmarks.x`` and ``make x``, also in tables and between backticks."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    wrong = []
    for page in {block.page for block in COMMANDS} | {ROOT / "docs" / "benchmarks.md"}:
        text = page.read_text(encoding="utf-8")
        modules = re.findall(r"python\s+-m\s+((?:benchmarks|training|docs)\.\w+)", text)
        wrong += [module for module in modules if not can_be_run(ROOT / module.replace(".", "/"))]
        wrong += [t for t in re.findall(r"`make ([a-z]+)`", text) if t not in targets]
    assert not wrong
