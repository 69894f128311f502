"""The benchmark's own command on the embedded model, which is served, killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.service import Service
from tests.training.recipes import recipe_file
from tests.training.reviewed import paper, written
from training.jsonl import read_rows
from training.reviewing import CACHE
from training.rows import PaperRow, ReviewedRow

BENCHMARK = {
    "models": ["base"],
    "format": "structured",
    "max_tokens": 240,
    "max_model_len": 1024,
    "prompt_tokens": 512,
    "concurrency": 1,
    "bootstrap": 100,
    "length_classes": 2,
}
WITHIN_S = 300


def test_a_killed_benchmark_goes_on_and_ends_with_all_papers(
    service: Service, tmp_path: Path
) -> None:
    papers = [
        paper(i, decision="accept" if i % 2 else "reject", told=0.5, words=300 + 10 * i)
        for i in range(2)
    ]
    recipe = recipe_file(tmp_path, benchmark={**BENCHMARK, "upstream_url": f"{service.url}/v1"})
    leaks = {"benchmark": {"papers": 2, "accepted": 1, "reason": "too few"}}
    none: list[PaperRow] = []
    files = {"benchmark.jsonl": papers, "papers.jsonl": none}
    written(recipe, "collect", {**files, "leaks.json": [leaks]})
    path = tmp_path / "out/benchmark/peerread_base_full.jsonl"
    cache = path.with_name(CACHE)
    with _command(recipe, tmp_path / "first.log") as first:
        ends = time.monotonic() + WITHIN_S
        while not (cache.exists() and cache.read_bytes().count(b"\n")):
            assert first.poll() is None, (tmp_path / "first.log").read_text()
            assert time.monotonic() < ends
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    kept = cache.read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    assert len(kept.splitlines()) < len(papers)
    assert not path.with_name("manifest.json").exists()

    with _command(recipe, tmp_path / "second.log") as second:
        assert second.wait(WITHIN_S) == 0, (tmp_path / "second.log").read_text()
    rows = list(read_rows(path, ReviewedRow))
    assert [row.paper for row in rows] == [row.id for row in papers]
    assert cache.read_bytes().startswith(kept)
    for row in rows:
        assert row.probability is not None
        assert 0 < row.probability < 1
        assert row.text.startswith("## Summary")
        assert 400 < row.prompt_tokens <= 512
        assert 0 < row.completion_tokens <= 224
    metrics = json.loads(path.with_name("peerread_base_metrics.json").read_text())
    assert metrics["papers"] == 2
    assert metrics["figures"]["auroc"]["value"] is not None
    assert json.loads(path.with_name("manifest.json").read_text())["resumed"]


def _command(recipe: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "training.benchmark", "--recipe", recipe],
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
