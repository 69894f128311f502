"""The pages of a review's paper in the API."""

from __future__ import annotations

from typing import Literal

from app.api.schemas.base import Resource


class PageInfo(Resource):
    """One page; `/paper/pages/{number}` draws it."""

    number: int
    width: float
    """In PDF points, as all positions on the page."""
    height: float
    largest_scale: float
    """The largest scale at which it is drawn."""


class PaperPages(Resource):
    object: Literal["paper.pages"] = "paper.pages"
    pages: list[PageInfo]
