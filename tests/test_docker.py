"""The image keeps what it must, and the dashboard asks for what the service tells."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx

from app.engine.base import Tokenizer
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import ScriptedEngine
from tests.service import Service

ROOT = Path(__file__).parents[1]
DASHBOARD = ROOT / "docker" / "grafana" / "dashboards" / "reviewer.json"
_NAME = re.compile(r"\b(?:reviewer_|vllm:)\w+")


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def asked() -> set[str]:
    return {name for expression in expressions() for name in _NAME.findall(expression)}


def told(page: str) -> dict[str, str]:
    """Kinds of all metrics by the names that samples of them have."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", page, re.MULTILINE))
    buckets = {f"{name}_bucket": kind for name, kind in kinds.items() if kind == "histogram"}
    return kinds | buckets


def test_every_metric_of_ours_on_the_dashboard_exists(serve: Serve, tokenizer: Tokenizer) -> None:
    client = serve(ScriptedEngine(tokenizer), Settings())
    known = told(client.get("/metrics").text)
    ours = {name for name in asked() if name.startswith("reviewer_")}
    assert len(ours) > 12
    assert ours <= set(known)
    # And none is forgotten.
    shown = {name.removesuffix("_bucket") for name in ours}
    assert {name for name in known if name.startswith("reviewer_")} - shown <= {
        *(name for name in known if name.endswith(("_created", "_bucket"))),
    }


def test_counters_are_asked_for_by_their_rates(serve: Serve, tokenizer: Tokenizer) -> None:
    known = told(serve(ScriptedEngine(tokenizer), Settings()).get("/metrics").text)
    for expression in expressions():
        for name in _NAME.findall(expression):
            if known.get(name) in ("counter", "histogram"):
                assert re.search(rf"(rate|increase)\({name}\b", expression), expression


def test_every_metric_of_vllms_on_the_dashboard_exists(service: Service) -> None:
    known = told(httpx.get(f"{service.url}/metrics").text)
    assert {name for name in asked() if name.startswith("vllm:")} <= set(known)


def image_environment() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", instruction("ENV")))


def instruction(name: str) -> str:
    """The arguments of all instructions of that name, each on one line."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return "\n".join(re.findall(rf"^{name} (.*)$", text, re.MULTILINE))


def compose() -> str:
    return (ROOT / "compose.yaml").read_text(encoding="utf-8")


def test_everything_cached_lies_in_a_volume() -> None:
    """vLLM's variables, Triton's, FlashInfer's, CUDA's; the rest follows XDG_CACHE_HOME."""
    environment = image_environment()
    volumes = re.findall(r"^      - \w+:(/data/\w+)$", compose(), re.MULTILINE)
    assert len(volumes) == 4
    for name in (
        *("HF_HOME", "VLLM_CACHE_ROOT", "TRITON_CACHE_DIR", "FLASHINFER_WORKSPACE_BASE"),
        *("CUDA_CACHE_PATH", "XDG_CACHE_HOME", "REVIEWER_CACHE_DIR", "REVIEWER_DATA_DIR"),
    ):
        assert any(f"{environment[name]}/".startswith(f"{volume}/") for volume in volumes), name
    # The image makes them, as the user that it runs as: a new volume takes its owner from there.
    made = re.findall(r"install --directory --owner=reviewer .*", instruction("RUN"))
    assert set(volumes) <= set(made[0].split())


def test_pip_moves_nothing_of_the_base() -> None:
    run = instruction("RUN")
    assert "pip list --format=freeze > base.txt" in run
    assert "--constraint base.txt" in run
    assert "grep" not in run


def test_what_an_older_driver_needs_can_be_set() -> None:
    assert "VLLM_ENABLE_CUDA_COMPATIBILITY: ${VLLM_ENABLE_CUDA_COMPATIBILITY:-0}" in compose()
