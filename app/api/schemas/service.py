"""What a service accepts, in the API."""

from __future__ import annotations

from typing import Literal

from app.api.schemas.base import Resource


class TemplateSection(Resource):
    field: str
    """The section's field in the review."""
    heading: str
    bullets: bool
    """Whether it is a list of points."""


class TemplateInfo(Resource):
    name: str
    sections: list[TemplateSection]


class CalibrationBin(Resource):
    """Papers of the calibration whose probability was from `low` to `high`."""

    low: float
    high: float
    papers: int
    accepted: int


class CalibrationInfo(Resource):
    name: str
    bins: list[CalibrationBin]
    """Empty if the calibration's file does not have them."""


class ServiceInfo(Resource):
    """What this service accepts, and how it decides."""

    object: Literal["service"] = "service"
    version: str
    model: str | None
    """Null while no model is ready."""
    notice: str | None
    """A warning about all of its reviews, for instance that the model is there for trying."""
    keeps_reviews: bool
    """Whether reviews are stored, which background reviews need."""
    fetch_hosts: list[str]
    """Hosts of papers that can be named by their `url`."""
    max_upload_mb: float
    templates: list[TemplateInfo]
    abstain: tuple[float, float] | None
    """Reviews with a probability from the one to the other are `undecided`."""
    calibration: CalibrationInfo | None
