"""Fixtures of the batch tests: a scripted service and tiny papers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.command import (
    tiny_papers,
)
from tests.service import ScriptedService, Service

PAPERS = 60


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with ScriptedService(tmp_path_factory.mktemp("service") / "log") as running:
        yield running


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_papers(tmp_path_factory.mktemp("papers"), PAPERS)


@pytest.fixture
def few(tmp_path: Path, papers: Path) -> Path:
    """Six of the papers, in a folder of their own."""
    folder = tmp_path / "few"
    folder.mkdir()
    for number in range(6):
        shutil.copy(papers / f"{number:03}.pdf", folder)
    return folder
