"""``/v1/reviews``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request, Response

from app.disconnect import cancel_on_disconnect
from app.review.service import Event, finished
from app.review.streaming import narrate
from app.routes.responses import EVENTS, Responses, errors
from app.routes.sse import EventStream, server_event
from app.routes.state import StateDep, TenantDep
from app.routes.submission import REVIEW_BODY, read_review_submission
from app.schemas.review import Review

router = APIRouter(prefix="/v1/reviews", tags=["reviews"])

_RESPONSES: Responses = {
    200: {"model": Review, "content": EVENTS},
    **errors(404, 413, 415, 422, 502, 504),
}


@router.post("", openapi_extra=REVIEW_BODY, responses=_RESPONSES, response_model=Review)
async def create_review(request: Request, state: StateDep, tenant: TenantDep) -> Review | Response:
    """Review a paper. A client that hangs up ends the work.

    With `stream`, server-sent events: `review.created`, `review.extracted`, `review.delta`,
    `review.section.completed`, `review.verdict`, `review.completed`, or `error` as the last one.
    """
    source, parameters = await read_review_submission(request)
    events = state.start_review(source, parameters, tenant)
    if parameters.stream:
        return EventStream(_server_events(state.streamed(events)))
    return await cancel_on_disconnect(request.receive, finished(events))


async def _server_events(events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(narrate(events)) as telling:
        async for told in telling:
            yield server_event(told.model_dump_json(), told.type, told.sequence_number)
