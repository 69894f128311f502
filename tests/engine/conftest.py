"""Fixtures of the engines' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.stub import Upstream, upstream


@pytest.fixture
def stub() -> Iterator[Upstream]:
    """An upstream that answers as the test says."""
    with upstream() as running:
        yield running
