"""``/v1/reviews/{id}/points`` and ``/v1/reviews/stats``: what people make of reviews."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request

from app.api.routes.filters import FiltersDep
from app.api.routes.json_body import decoded, fields_of
from app.api.routes.responses import errors
from app.api.routes.state import StateDep, TenantDep
from app.api.routes.submission import json_request_body, validated
from app.api.schemas.points import (
    Dismissals,
    PointsPatch,
    PointStats,
    ReviewPoints,
    ReviewStats,
)
from app.errors import RequestTooLarge, UnsupportedMediaType

router = APIRouter(prefix="/v1/reviews", tags=["reviews"])

_LARGEST_PATCH = 4_000_000


@router.get("/stats")
async def get_stats(
    state: StateDep,
    tenant: TenantDep,
    filters: FiltersDep,
) -> ReviewStats:
    """Numbers of your reviews, and what became of the models' points."""
    edits = state.storage.store.edits
    sums = await edits.sums(tenant, filters)
    by_model = await edits.sums_by_model(tenant, filters)
    return ReviewStats(
        statuses=dict(sums.statuses),
        decisions=dict(sums.decisions),
        probabilities=list(sums.probabilities),
        points=[_of_model(model, found) for model, found in by_model.items()],
    )


def _of_model(model: str, found: dict[str, int]) -> PointStats:
    reasons = Dismissals.model_validate(found, from_attributes=False)
    kept = found["points"] - reasons.wrong - reasons.trivial - reasons.not_in_paper
    return PointStats(
        model=model,
        reviews=found["reviews"],
        points=found["points"],
        kept=kept,
        share_kept=round(kept / found["points"], 4) if found["points"] else None,
        dismissed=reasons,
        useful=found["useful"],
        edited=found["edited"],
        added=found["added"],
    )


@router.get("/{review_id}/points", responses=errors(404, 409))
async def get_points(review_id: str, state: StateDep, tenant: TenantDep) -> ReviewPoints:
    """The points of a completed review, with what was done to them."""
    return await state.points.get(review_id, tenant)


@router.patch(
    "/{review_id}/points",
    openapi_extra=json_request_body(PointsPatch),
    responses=errors(404, 409, 413, 415),
)
async def patch_points(
    review_id: str, request: Request, state: StateDep, tenant: TenantDep
) -> ReviewPoints:
    """Edit, dismiss or mark points, add your own or remove them: all of the changes, or none. The
    model's own text stays in the review. `points_changed` if `version` is not the current one.
    """
    patch = await _read(request)
    return await state.points.patch(review_id, tenant, patch)


async def _read(request: Request) -> PointsPatch:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaType("Send the changes as application/json.")
    body = await request.body()
    if len(body) > _LARGEST_PATCH:
        raise RequestTooLarge(f"Changes may have at most {_LARGEST_PATCH / 1e6:g} MB.")
    return await asyncio.to_thread(_validated, body)


def _validated(body: bytes) -> PointsPatch:
    anything: Any = Any
    fields = fields_of(body, PointsPatch.model_fields)
    return validated(
        PointsPatch, {name: decoded(raw, anything, name) for name, raw in fields.items()}
    )
