"""The benchmark for a GPU, rehearsed with its small shape on this machine's processor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MODEL


@pytest.mark.xdist_group(MODEL)
def test_its_rehearsal_measures_what_it_names(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    words = ["-m", "benchmarks.gpu", "--tiny", "--phases", "levels"]
    done = subprocess.run(
        [sys.executable, *words, "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == json.loads(out.read_text())
    assert found["errors"] == {}
    phases = found["phases"]
    assert list(phases) == ["ceilings", "start", "warm-up", "levels"]
    for row in phases["levels"]:
        assert row["held"] == row["reviews"] > 0
        assert row["failed"] == 0
        # No section of a random model's review ends before its budget.
        assert 200 <= row["written"] <= 280
        assert 590 <= row["prompt"] <= 910
        assert row["of floor"] > 0
