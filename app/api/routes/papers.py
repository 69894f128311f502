"""``/v1/papers``: reads a paper without reviewing it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.routes.responses import Responses, errors
from app.api.routes.state import State, StateDep
from app.api.routes.submission import PAPER_BODY, read_paper_submission
from app.api.schemas.paper import PaperResource
from app.async_utils import cancel_on_disconnect
from app.engine.base import Tokenizer
from app.errors import EngineUnavailable
from app.paper.model import Paper
from app.resources.paper import paper_resource

router = APIRouter(prefix="/v1/papers", tags=["papers"])

_RESPONSES: Responses = {
    200: {"model": PaperResource, "content": {"application/pdf": {}}},
    **errors(413, 415, 422, 502, 504),
}


@router.post("", openapi_extra=PAPER_BODY, responses=_RESPONSES)
async def create_paper(
    request: Request,
    state: StateDep,
    overlay: Annotated[
        bool, Query(description="Return the PDF with the recognised blocks drawn on its pages.")
    ] = False,
) -> Response:
    """Read a paper: title, abstract, sections, and findings such as hidden text. Uses no model."""
    source, parameters = await read_paper_submission(request)
    with state.metrics.extracting():
        if overlay:
            drawn = await cancel_on_disconnect(request.receive, state.reader.overlay(source))
            return Response(drawn, media_type="application/pdf")
        paper = await cancel_on_disconnect(
            request.receive, state.reader.read(source, blind=parameters.blind)
        )
    body = await asyncio.to_thread(_json, paper, _tokenizer(state))
    return Response(body, media_type="application/json")


def _json(paper: Paper, tokenizer: Tokenizer | None) -> str:
    return paper_resource(paper, tokenizer).model_dump_json()


def _tokenizer(state: State) -> Tokenizer | None:
    try:
        return state.supervisor.engine().tokenizer
    except EngineUnavailable:
        return None
