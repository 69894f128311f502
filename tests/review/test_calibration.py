"""Calibrations: the maps, and files that are none."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.base import ServedModel
from app.engine.weights import content_of
from app.errors import ConfigurationError
from app.review.calibration import Isotonic, Platt, Temperature, load_calibration

MAPS = st.one_of(
    st.builds(Temperature, temperature=st.floats(0.05, 50)),
    st.builds(Platt, slope=st.floats(0.05, 50), intercept=st.floats(-20, 20)),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=9).map(
        lambda points: Isotonic(
            x=tuple(sorted({x for x, _ in points})),
            y=tuple(sorted(y for _, y in points))[: len({x for x, _ in points})],
        )
    ),
)
FILE: dict[str, Any] = {
    "object": "calibration",
    "name": "iclr-2017-val",
    "model": "gemma-reviewer",
    "map": {"method": "temperature", "temperature": 2.0},
    "fitted_on": {"papers": 100},
}


@given(MAPS, st.floats(0, 1), st.floats(0, 1))
def test_probabilities_stay_probabilities_and_in_order(
    of: Temperature | Platt | Isotonic, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert 0 <= of.apply(low) <= of.apply(high) <= 1


@pytest.mark.parametrize("probability", [0.0, 1e-6, 0.3, 0.5, 0.9, 1.0])
def test_a_map_that_changes_nothing(probability: float) -> None:
    for same in (Temperature(temperature=1), Platt(slope=1, intercept=0)):
        assert same.apply(probability) == pytest.approx(probability, abs=1e-8)
    assert Isotonic(x=(0, 1), y=(0, 1)).apply(probability) == pytest.approx(probability)


def test_each_map_is_what_it_is_called() -> None:
    logit = math.log(0.9 / 0.1)
    assert Temperature(temperature=2).apply(0.9) == pytest.approx(1 / (1 + math.exp(-logit / 2)))
    assert Platt(slope=0.5, intercept=-1).apply(0.9) == pytest.approx(
        1 / (1 + math.exp(1 - 0.5 * logit))
    )
    steps = Isotonic(x=(0.2, 0.6), y=(0.1, 0.5))
    assert [steps.apply(p) for p in (0.1, 0.4, 0.9)] == pytest.approx([0.1, 0.3, 0.5])


def test_a_file_and_what_it_suits(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(FILE))
    calibration = load_calibration(path)
    assert (calibration.name, calibration.template) == ("iclr-2017-val", "default")
    gemma = ServedModel("gemma-reviewer", 12288, 1400)
    assert calibration.suits(gemma, "default", "review", "free")
    assert not calibration.suits(gemma, "iclr", "review", "free")
    assert not calibration.suits(gemma, "default", "verdict", "free")
    assert not calibration.suits(ServedModel("smollm2", 8192, 512), "default", "review", "free")
    hub = ServedModel("x", 12288, 1400, also_named=("gemma-reviewer",))
    assert calibration.suits(hub, "default", "review", "structured")


def test_a_calibration_is_the_models_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**FILE, "content": "abc", "format": "structured"}))
    calibration = load_calibration(path)
    renamed = ServedModel("model", 12288, 1400, content="abc")
    assert calibration.suits(renamed, "default", "review", "structured")
    assert not calibration.suits(renamed, "default", "review", "free")
    another = ServedModel("gemma-reviewer", 12288, 1400, content="def")
    assert not calibration.suits(another, "default", "review", "structured")
    # An upstream does not tell what it runs.
    upstream = ServedModel("gemma-reviewer", 12288, 1400)
    assert calibration.suits(upstream, "default", "review", "structured")


def test_the_fingerprint_of_a_model_is_that_of_its_weights(tmp_path: Path) -> None:
    weights = bytes(range(256)) * 4096
    for name, data in (("a", weights), ("b", weights), ("c", weights[:-1] + b"x")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(data)
    one, same, other = (content_of(tmp_path / name) for name in "abc")
    assert one == same != other


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"map": {"method": "magic"}}, "map: "),
        ({"map": {"method": "temperature", "temperature": 0}}, "map.temperature.temperature"),
        ({"map": {"method": "temperature", "temperature": float("inf")}}, "temperature"),
        ({"map": {"method": "platt", "slope": -1, "intercept": 0}}, "map.platt.slope"),
        ({"map": {"method": "isotonic", "x": [0, 1], "y": [0]}}, "differ in length"),
        ({"map": {"method": "isotonic", "x": [1, 0], "y": [0, 1]}}, "x must rise"),
        ({"map": {"method": "isotonic", "x": [0, 1], "y": [1, 0]}}, "y must not fall"),
        ({"map": {"method": "isotonic", "x": [0, 2], "y": [0, 1]}}, "map.isotonic.x.1"),
        ({"map": None}, "map: "),
        ({"name": ""}, "name: "),
        ({"colour": "red"}, "colour: "),
        ({"object": "review"}, "object: "),
    ],
)
def test_files_that_are_no_calibration(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**FILE, **change}))
    with pytest.raises(ConfigurationError, match=r"calibration\.json") as refused:
        load_calibration(path)
    assert told in refused.value.message


def test_files_that_are_no_json_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    with pytest.raises(ConfigurationError, match="No such file"):
        load_calibration(path)
    path.write_bytes(b"\xff{")
    with pytest.raises(ConfigurationError, match="Invalid JSON"):
        load_calibration(path)
