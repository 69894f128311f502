"""Samples, the verdict alone, the abstain band and calibrations, by an engine double."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from app.engine.tokenizer import ChatTokenizer
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import WHOLE_REVIEW, ScriptedEngine
from tests.review.reviewing import odds, review


def sample(name: str, label: str = "ACCEPTANCE") -> str:
    return WHOLE_REVIEW.replace("It counts tokens.", name).replace("ACCEPTANCE", label)


def test_the_sample_nearest_the_mean_is_the_review(serve: Serve, tokenizer: ChatTokenizer) -> None:
    texts = [sample("high"), sample("low", "REJECTION"), sample("middle", "REJECTION")]
    chances = [0.9, 0.1, 0.38]
    engine = ScriptedEngine(tokenizer, texts, [*map(odds, chances)])
    body = review(serve, engine, samples=3)
    assert body["review"]["summary"] == "middle"
    assert body["text"] == texts[2]
    verdict = body["verdict"]
    assert verdict["samples"] == pytest.approx(chances)
    assert verdict["mean"] == verdict["probability"] == pytest.approx(0.46)
    assert verdict["spread"] == pytest.approx(statistics.stdev(chances))
    assert (verdict["decision"], verdict["source"]) == ("reject", "review_line")
    assert verdict["mass"] == pytest.approx({"accept": 0.19, "reject": 0.31})
    # One request to the engine, and a reading of each sample by its own text.
    (generation,) = engine.generations
    assert generation.n == 3
    assert [read.prefix for read in engine.label_reads] == [
        text.rpartition(" ")[0] for text in texts
    ]


def test_a_sample_that_the_engine_can_not_tell_of_counts_for_nothing(
    serve: Serve, tokenizer: ChatTokenizer
) -> None:
    texts = [sample("untold"), sample("far"), sample("near"), sample("farther")]
    engine = ScriptedEngine(tokenizer, texts, [None, odds(0.3), odds(0.5), odds(0.9)])
    body = review(serve, engine, samples=4)
    assert body["review"]["summary"] == "near"
    assert body["verdict"]["samples"] == pytest.approx([0.3, 0.5, 0.9])
    assert body["verdict"]["mean"] == pytest.approx(1.7 / 3)


def test_one_sample_has_no_spread(serve: Serve, tokenizer: ChatTokenizer) -> None:
    verdict = review(serve, ScriptedEngine(tokenizer))["verdict"]
    assert verdict["spread"] is None
    assert verdict["samples"] == [verdict["mean"]] == [verdict["probability"]]


def test_the_verdict_alone_is_one_token(serve: Serve, tokenizer: ChatTokenizer) -> None:
    engine = ScriptedEngine(tokenizer, logprobs=odds(0.2))
    body = review(serve, engine, mode="verdict")
    assert (body["mode"], body["review"], body["text"]) == ("verdict", None, "")
    assert (body["verdict"]["decision"], body["verdict"]["source"]) == ("reject", "probe")
    assert body["verdict"]["probability"] == pytest.approx(0.2)
    assert body["usage"] == {"prompt_tokens": 120, "completion_tokens": 1, "cached_tokens": 90}
    assert not engine.generations
    (read,) = engine.label_reads
    assert read.prefix == "## Final Recommendation\nI recommend this paper for"
    assert read.messages[1].content.startswith("Review the following paper.")


@pytest.mark.parametrize(
    ("probability", "decision"),
    [(0.39, "reject"), (0.4, "undecided"), (0.6, "undecided"), (0.61, "accept")],
)
def test_within_the_abstain_band_nothing_is_decided(
    serve: Serve, tokenizer: ChatTokenizer, probability: float, decision: str
) -> None:
    settings = Settings(abstain_low=0.4 - 1e-9, abstain_high=0.6 + 1e-9)
    engine = ScriptedEngine(tokenizer, logprobs=odds(probability))
    assert review(serve, engine, settings, mode="verdict")["verdict"]["decision"] == decision


def calibration(tmp_path: Path, **change: Any) -> Settings:
    path = tmp_path / "calibration.json"
    fitted = {"name": "tested", "model": "scripted", "map": {"method": "isotonic"}, **change}
    fitted["map"] |= {"x": [0, 0.5, 1], "y": [0, 0.1, 1]}
    path.write_text(json.dumps(fitted))
    return Settings(calibration=path, abstain_low=0.05, abstain_high=0.2)


def test_a_calibration_maps_the_probability(
    serve: Serve, tokenizer: ChatTokenizer, tmp_path: Path
) -> None:
    engine = ScriptedEngine(tokenizer, logprobs=odds(0.5))
    verdict = review(serve, engine, calibration(tmp_path))["verdict"]
    assert verdict["probability"] == pytest.approx(0.1)
    assert verdict["mean"] == pytest.approx(0.5)
    assert (verdict["calibrated"], verdict["calibration"]) == (True, "tested")
    # It is the calibrated probability that lies in the band.
    assert verdict["decision"] == "undecided"


@pytest.mark.parametrize(
    "change",
    [{"model": "another"}, {"template": "iclr"}, {"mode": "verdict"}, {"format": "free"}],
)
def test_a_calibration_of_something_else_is_not_applied(
    serve: Serve, tokenizer: ChatTokenizer, tmp_path: Path, change: dict[str, str]
) -> None:
    engine = ScriptedEngine(tokenizer, logprobs=odds(0.5))
    verdict = review(serve, engine, calibration(tmp_path, **change))["verdict"]
    assert verdict["probability"] == pytest.approx(0.5)
    assert (verdict["calibrated"], verdict["calibration"]) == (False, None)
