"""``/v1/service`` and the place in the queue: what people are told while they wait."""

from __future__ import annotations

import json
from pathlib import Path

from app.settings import Settings
from tests.conftest import Serve
from tests.jobs.api import gated, post, scripted


def test_the_service_says_what_it_accepts(serve: Serve, tmp_path: Path) -> None:
    calibration = tmp_path / "calibration.json"
    fitted_on = {"bins": [{"low": 0.5, "high": 0.6, "papers": 10, "accepted": 7}]}
    calibration.write_text(
        json.dumps(
            {
                "name": "smoke",
                "model": "scripted",
                "map": {"method": "temperature", "temperature": 2.0},
                "fitted_on": fitted_on,
            }
        )
    )
    settings = Settings(
        calibration=calibration, abstain_low=0.4, abstain_high=0.6, fetch_hosts="arxiv.org, a.org"
    )
    info = serve(scripted(), settings).get("/v1/service").json()
    assert info["model"] == "scripted"
    assert info["abstain"] == [0.4, 0.6]
    assert info["fetch_hosts"] == ["arxiv.org", "a.org"]
    assert info["calibration"] == {"name": "smoke", "bins": fitted_on["bins"]}
    templates = {template["name"]: template["sections"] for template in info["templates"]}
    assert {"default", "iclr", "icml", "neurips", "acl"} <= templates.keys()
    assert templates["iclr"][1] == {
        "field": "technical_soundness",
        "heading": "Soundness",
        "bullets": False,
    }


def test_a_calibration_without_bins_has_none(serve: Serve, tmp_path: Path) -> None:
    calibration = tmp_path / "calibration.json"
    for fitted_on in ({}, {"bins": [{"low": 2}]}, {"bins": "none"}):
        described = {"method": "temperature", "temperature": 2.0}
        whole = {"name": "old", "model": "m", "map": described, "fitted_on": fitted_on}
        calibration.write_text(json.dumps(whole))
        info = serve(scripted(), Settings(calibration=calibration)).get("/v1/service").json()
        assert info["calibration"] == {"name": "old", "bins": []}


def test_a_queued_review_says_how_many_are_before_it(serve: Serve) -> None:
    client = serve(gated(), Settings(background_reviews=0))
    ids = [post(client, background=True, title=f"Paper {n}").json()["id"] for n in range(3)]
    assert [client.get(f"/v1/reviews/{one}").json()["ahead"] for one in ids] == [0, 1, 2]
    client.post(f"/v1/reviews/{ids[0]}/cancel")
    assert client.get(f"/v1/reviews/{ids[2]}").json()["ahead"] == 1
    assert client.get(f"/v1/reviews/{ids[0]}").json()["ahead"] is None
