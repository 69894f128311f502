"""``/v1/reviews``: create, get, list, cancel, delete and export reviews."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, BinaryIO, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.api.routes.responses import EVENTS, Responses, errors
from app.api.routes.sse import EventStream, server_event
from app.api.routes.state import State, StateDep, TenantDep
from app.api.routes.submission import REVIEW_BODY, read_review_submission
from app.api.schemas.review import ReviewDeleted, ReviewList, ReviewResource
from app.async_utils import cancel_on_disconnect
from app.jobs.events import StoredEvent
from app.jobs.export import csv_of, markdown_of
from app.jobs.resource import json_of, resource_of, review_of, summary_of
from app.jobs.submission import Submission, SubmissionResult
from app.store.records import Filters
from app.store.states import Status

router = APIRouter(prefix="/v1/reviews", tags=["reviews"])

LONGEST_WAIT_S = 300.0
LONGEST_KEY = 255
_PIECE = 2**18
"""Bytes of a file that are sent at once."""

UnixTime = Annotated[float, Query(description="Unix time in seconds.", allow_inf_nan=False)]
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
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Annotated[Literal["desc", "asc"], Query(description="By time; newest first.")] = "desc",
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of a page.")] = None,
    status: Status | None = None,
    decision: Literal["accept", "reject", "undecided", "none"] | None = None,
    created_after: UnixTime | None = None,
    created_before: UnixTime | None = None,
    sha256: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
) -> ReviewList:
    """Your reviews, a page at a time."""
    filters = Filters(
        status=status,
        decision=decision,
        created_after=created_after,
        created_before=created_before,
        sha256=sha256,
    )
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
    return _json(json_of(row))


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
    "/{review_id}/paper",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}, **errors(404)},
)
async def get_paper(review_id: str, state: StateDep, tenant: TenantDep) -> Response:
    """The file that was reviewed."""
    sha256, file = await state.manager.paper(review_id, tenant)
    first = await asyncio.to_thread(file.read, _PIECE)
    size = os.fstat(file.fileno()).st_size
    pdf = first.startswith(b"%PDF")
    name = f"{sha256}.pdf" if pdf else sha256
    return StreamingResponse(
        _pieces(first, file),
        headers={**_saved_as(name), "Content-Length": str(size)},
        media_type="application/pdf" if pdf else "application/octet-stream",
    )


async def _pieces(piece: bytes, file: BinaryIO) -> AsyncGenerator[bytes, None]:
    """The file piece by piece, so that it is never in memory as a whole."""
    with file:
        while piece:
            yield piece
            piece = await asyncio.to_thread(file.read, _PIECE)


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
    form: Annotated[Literal["md", "json", "csv"], Query(alias="format")] = "md",
) -> Response:
    """A completed review as a file: Markdown, JSON or CSV."""
    review = review_of(await state.manager.get(review_id, tenant))
    if form == "json":
        body, kind = await asyncio.to_thread(review.model_dump_json, indent=2), "application/json"
    elif form == "csv":
        body, kind = csv_of(review), "text/csv; charset=utf-8"
    else:
        body, kind = markdown_of(review), "text/markdown; charset=utf-8"
    return _file(body.encode(), f"{review_id}.{form}", kind)


def _json(body: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")


def _file(data: bytes, name: str, kind: str) -> Response:
    return Response(data, headers=_saved_as(name), media_type=kind)


def _saved_as(name: str) -> dict[str, str]:
    """Headers that make browsers save the file and never display it, as its content is
    untrusted.
    """
    return {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
    }


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
