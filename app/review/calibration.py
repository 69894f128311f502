"""Calibration: maps the model's probability to the share of papers that were accepted at it.

``training.calibrate`` fits the map and writes it as JSON; the service applies it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from app.engine.base import ServedModel
from app.errors import ConfigurationError

SMALLEST = 1e-9
"""Probabilities are kept this far from 0 and 1, so that their logit is finite."""


class _Map(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Temperature(_Map):
    """sigmoid(logit(p) / temperature), after Guo et al. 2017."""

    method: Literal["temperature"] = "temperature"
    temperature: float = Field(gt=0, allow_inf_nan=False)

    def apply(self, probability: float) -> float:
        return _sigmoid(_logit(probability) / self.temperature)


class Platt(_Map):
    """sigmoid(slope * logit(p) + intercept), after Platt 1999."""

    method: Literal["platt"] = "platt"
    slope: float = Field(gt=0, allow_inf_nan=False)
    intercept: float = Field(allow_inf_nan=False)

    def apply(self, probability: float) -> float:
        return _sigmoid(self.slope * _logit(probability) + self.intercept)


class Isotonic(_Map):
    """Straight lines between points, constant beyond them (scikit-learn's IsotonicRegression)."""

    method: Literal["isotonic"] = "isotonic"
    x: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)
    y: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rises(self) -> Isotonic:
        if len(self.x) != len(self.y):
            raise ValueError("x and y differ in length")
        if list(self.x) != sorted(set(self.x)) or list(self.y) != sorted(self.y):
            raise ValueError("x must rise, and y must not fall")
        return self

    def apply(self, probability: float) -> float:
        return float(np.interp(probability, self.x, self.y))


class CalibrationBin(BaseModel):
    """``papers`` had a probability from ``low`` to ``high``, and ``accepted`` of them were
    accepted.
    """

    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    papers: int = Field(ge=0)
    accepted: int = Field(ge=0)


_BINS = TypeAdapter(tuple[CalibrationBin, ...])


class Calibration(BaseModel):
    """A map that was fitted for one model and one template, in one mode and format.

    ``fitted_on`` has no fixed form: it describes the fit's data and quality for a person.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    object: Literal["calibration"] = "calibration"
    name: str = Field(min_length=1, max_length=200)
    """The name that responses show (``verdict.calibration``)."""
    model: str = Field(min_length=1)
    """Its name, which counts where the engine does not tell the content."""
    content: str | None = None
    """Its weights' fingerprint: a name is any model's."""
    template: str = "default"
    mode: Literal["review", "verdict"] = "review"
    format: Literal["structured", "free"] | None = None
    """Of the reviews; None of verdicts, which have none."""
    map: Annotated[Temperature | Platt | Isotonic, Field(discriminator="method")]
    fitted_on: dict[str, Any] = {}

    @property
    def bins(self) -> tuple[CalibrationBin, ...]:
        """How often the papers of the fit were accepted, by probability; empty if it is not told.

        The probabilities are those that this map gives, cross-validated.
        """
        try:
            return _BINS.validate_python(self.fitted_on.get("bins", ()))
        except ValidationError:
            return ()

    def suits(
        self,
        model: ServedModel,
        template: str,
        mode: Literal["review", "verdict"],
        format: Literal["structured", "free"],  # noqa: A002  # as requests call it
    ) -> bool:
        """Whether it was fitted for this model, template, mode and format."""
        if self.template != template or self.mode != mode:
            return False
        if mode == "review" and self.format not in (None, format):
            return False
        if self.content is not None and model.content is not None:
            return self.content == model.content
        return self.model in (model.name, *model.also_named)


def load_calibration(path: Path) -> Calibration:
    """Read a file that ``training.calibrate`` wrote.

    Raises:
        ConfigurationError: the file can't be read, or is not a calibration.
    """
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    raise ConfigurationError(f"calibration file {path}: {reason}", param="calibration")


def _logit(probability: float) -> float:
    inside = min(max(probability, SMALLEST), 1 - SMALLEST)
    return math.log(inside / (1 - inside))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else 1 - 1 / (1 + math.exp(logit))
