"""The dashboard asks for what the service tells."""

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

DASHBOARD = Path(__file__).parents[1] / "docker" / "grafana" / "dashboards" / "reviewer.json"
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
