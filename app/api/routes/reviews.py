"""``/v1/reviews``: create, get, list, cancel, delete and export reviews."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from app.api.routes.files import saved_as
from app.api.routes.filters import FiltersDep
from app.api.routes.responses import EVENTS, Responses, errors
from app.api.routes.sse import EventStream, server_event
from app.api.routes.state import State, StateDep, TenantDep
from app.api.routes.submission import REVIEW_BODY, read_review_submission
from app.api.schemas.review import Review, ReviewDeleted, ReviewList, ReviewResource
from app.async_utils import cancel_on_disconnect
from app.errors import InvalidRequest
from app.jobs.events import StoredEvent
from app.jobs.export import csv_of, form_of, markdown_of
from app.jobs.resource import json_of, resource_of, review_of, summary_of
from app.jobs.submission import Submission, SubmissionResult
from app.review.template import Template

router = APIRouter(prefix="/v1/reviews", tags=["reviews"])

LONGEST_WAIT_S = 300.0
LONGEST_KEY = 255

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=LONGEST_KEY,
        description="A repeated request with the same key gets the same review.",
    ),
]


_ONE: Responses = {200: {"model": ReviewResource, "content": EVENTS}, **errors(404)}
_POST: Responses = {
    200: {"model": ReviewResource, "content": EVENTS},
    202: {"model": ReviewResource, "description": "The review is made in the background."},
    **errors(404, 409, 413, 415, 422, 502, 504, 507),
}


@router.post("", openapi_extra=REVIEW_BODY, responses=_POST, response_model=None)
async def create_review(
    request: Request, state: StateDep, tenant: TenantDep, key: IdempotencyKey = None
) -> Response:
    """Review a paper. If the client disconnects, the review is cancelled, unless `background` is
    set.

    With `stream`, the answer is server-sent events: `review.created`, `review.extracted`,
    `review.delta`, `review.section.completed`, `review.verdict`, and last `review.completed` or
    `error`.
    """
    source, parameters = await read_review_submission(request)
    submitted = await state.manager.submit(Submission(source, parameters, tenant, key))
    headers = {"Idempotent-Replayed": "true"} if submitted.replayed else {}
    if parameters.stream:
        return _events(state, submitted.id, tenant, headers=headers)
    if parameters.background:
        return await _accepted(state, submitted, headers)
    body = await cancel_on_disconnect(request.receive, state.manager.result(submitted))
    return _json(body, headers=headers)


async def _accepted(state: State, submitted: SubmissionResult, headers: dict[str, str]) -> Response:
    row = await state.manager.get(submitted.id, submitted.tenant)
    body = json_of(row, reused=submitted.reused)
    return _json(body, 200 if row.status == "completed" else 202, headers)


@router.get("")
async def list_reviews(
    state: StateDep,
    tenant: TenantDep,
    filters: FiltersDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Annotated[Literal["desc", "asc"], Query(description="By time; newest first.")] = "desc",
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of a page.")] = None,
) -> ReviewList:
    """Your reviews, a page at a time."""
    page = await state.manager.page(
        tenant, filters, limit=limit, newest_first=order == "desc", cursor=cursor
    )
    data = [summary_of(row) for row in page.rows]
    return ReviewList(data=data, has_more=page.next is not None, next=page.next)


@router.get("/{review_id}", responses=_ONE, response_model=None)
async def get_review(
    review_id: str,
    state: StateDep,
    tenant: TenantDep,
    wait: Annotated[
        float,
        Query(ge=0, le=LONGEST_WAIT_S, description="Most seconds to wait for the review's end."),
    ] = 0,
    stream: Annotated[bool, Query(description="Return its events, from the first one.")] = False,
    starting_after: Annotated[
        int, Query(ge=-1, lt=2**63, description="`sequence_number` of the last event received.")
    ] = -1,
) -> Response:
    """A review in any state; with `stream` the same events as from `POST`."""
    row = await state.manager.get(review_id, tenant, 0 if stream else wait)
    if stream:
        return _events(state, review_id, tenant, starting_after)
    return _json(json_of(row, ahead=await state.manager.ahead_of(row)))


@router.post("/{review_id}/cancel", responses=errors(404, 409))
async def cancel_review(review_id: str, state: StateDep, tenant: TenantDep) -> ReviewResource:
    """Cancel a review that is queued or in progress."""
    return resource_of(await state.manager.cancel(review_id, tenant))


@router.delete("/{review_id}", responses=errors(404))
async def delete_review(review_id: str, state: StateDep, tenant: TenantDep) -> ReviewDeleted:
    """Delete a review and its paper immediately; a review in progress is cancelled."""
    await state.manager.delete(review_id, tenant)
    return ReviewDeleted(id=review_id)


@router.get(
    "/{review_id}/export",
    response_class=Response,
    responses={
        200: {"content": {"text/markdown": {}, "text/csv": {}, "application/json": {}}},
        **errors(404, 409),
    },
)
async def export_review(
    review_id: str,
    state: StateDep,
    tenant: TenantDep,
    form: Annotated[Literal["md", "json", "csv", "form"], Query(alias="format")] = "md",
    edited: Annotated[bool, Query(description="As you edited it, not as it was written.")] = False,
    template: Annotated[
        str | None,
        Query(max_length=40, description="Of a `form`; by default the review's own."),
    ] = None,
) -> Response:
    """A completed review as a file: Markdown, JSON, CSV, or Markdown in a template's form."""
    if template is not None and form != "form":
        raise InvalidRequest("Only the format 'form' has a template.", param="template")
    review = review_of(await state.manager.get(review_id, tenant))
    layout = state.rules.template(template or review.template)
    if edited:
        review = await state.points.edited(review_id, tenant)
        review = review.model_copy(update={"text": form_of(review, layout)})
    body, kind, suffix = await asyncio.to_thread(_exported, review, form, layout)
    return _file(body.encode(), f"{review_id}.{suffix}", kind)


def _exported(review: Review, form: str, layout: Template) -> tuple[str, str, str]:
    """The content, its type and the file's suffix."""
    if form == "json":
        return review.model_dump_json(indent=2), "application/json", "json"
    if form == "csv":
        return csv_of(review), "text/csv; charset=utf-8", "csv"
    written = form_of(review, layout) if form == "form" else markdown_of(review)
    return written, "text/markdown; charset=utf-8", "md"


def _json(body: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")


def _file(data: bytes, name: str, kind: str) -> Response:
    return Response(data, headers=saved_as(name), media_type=kind)


def _events(
    state: State,
    review_id: str,
    tenant: str,
    starting_after: int = -1,
    headers: dict[str, str] | None = None,
) -> EventStream:
    events = state.counted(state.manager.stream(review_id, tenant, starting_after))
    return EventStream(_server_events(events), headers)


async def _server_events(events: AsyncGenerator[StoredEvent, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(events) as stored:
        async for event in stored:
            yield server_event(event.data, event.type, event.number)
