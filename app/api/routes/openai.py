"""``/v1/models``, and ``/v1/chat/completions``: the engine's, except for attached papers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.api.routes.attached import paper_request
from app.api.routes.chat_body import ChatBody, read_chat
from app.api.routes.json_body import decoded
from app.api.routes.responses import EVENTS, Responses, errors
from app.api.routes.reviews import IdempotencyKey
from app.api.routes.sse import EventStream, server_event
from app.api.routes.state import State, StateDep, TenantDep
from app.api.schemas.chat import (
    CachedTokens,
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    ChatDelta,
    ChatMessage,
    ChatUsage,
    ResponseFormat,
)
from app.api.schemas.review import Review
from app.async_utils import cancel_on_disconnect
from app.engine.base import OpenAIServer
from app.engine.supervisor import Supervisor
from app.errors import ChatNotServed, ModelNotFound
from app.jobs.events import JobEvent, Reviewed
from app.jobs.submission import Submission
from app.review.service import Accepted, Failed, Writing

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

router = APIRouter(prefix="/v1", tags=["openai"])

_CHAT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["messages"],
                    "properties": {
                        "model": {"type": "string"},
                        "messages": {"type": "array", "items": {"type": "object"}},
                    },
                    "description": "OpenAI's parameters, and vLLM's sampling parameters.",
                }
            }
        },
    }
}
_CHAT_RESPONSES: Responses = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}, **EVENTS}},
    **errors(404, 413, 422, 502),
}


@router.get(
    "/models",
    response_model=None,
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def list_models(state: StateDep) -> Response:
    """OpenAI's list of models: the served one, whatever else an upstream has."""
    engine = state.supervisor.engine()
    model = engine.model
    # By these two, as vLLM has them, a service in front of this one knows what it may ask for.
    is_vllm = isinstance(engine, OpenAIServer) and engine.takes_cache_salt
    owner = "vllm" if is_vllm else "reviewer"
    card = {"id": model.name, "object": "model", "created": 0, "owned_by": owner}
    return JSONResponse({"object": "list", "data": [card | {"max_model_len": model.max_model_len}]})


@router.post(
    "/chat/completions",
    response_model=None,
    openapi_extra=_CHAT_BODY,
    responses=_CHAT_RESPONSES,
)
async def create_chat_completion(
    request: Request, state: StateDep, tenant: TenantDep, key: IdempotencyKey = None
) -> Response:
    """OpenAI's chat completions.

    If the last message has a `file` part with a PDF, the answer is a review of that paper, with the
    whole review resource as `review` beside it. Parameters of a review (`samples`, `template`,
    `blind`, ...) are accepted. Text beside the file is ignored, as the prompt comes from the
    template. All other chats are answered by the model directly; messages may contain only text.
    """
    chat = await asyncio.to_thread(read_chat, await request.body(), state.limits)
    asked = await asyncio.to_thread(paper_request, chat, state.limits)
    if asked is None:
        server = _openai_server(state.supervisor)
        _check_model(chat, state.supervisor)
        salt = _salt(chat, state, tenant) if server.takes_cache_salt else None
        return _EngineAnswer(state.supervisor, await asyncio.to_thread(chat.for_engine, salt))
    parameters, file = asked
    answer_format = _answer_format(parameters.response_format)
    submitted = await state.manager.submit(Submission(file, parameters, tenant, key, answer_format))
    if parameters.stream:
        events = state.manager.events(submitted)
        options = parameters.stream_options
        with_usage = options is not None and options.include_usage
        return EventStream(_chunks(state.counted_events(events), with_usage=with_usage))
    review = await cancel_on_disconnect(request.receive, state.manager.review(submitted))
    return Response(_completion(review).model_dump_json(), media_type="application/json")


def _openai_server(supervisor: Supervisor) -> OpenAIServer:
    engine = supervisor.engine()
    if not isinstance(engine, OpenAIServer):
        raise ChatNotServed(
            "This service's engine does not answer chats. To get a review, attach a paper as a "
            "`file` part, or send it to /v1/reviews."
        )
    return engine


def _check_model(chat: ChatBody, supervisor: Supervisor) -> None:
    """An upstream may have others, at other prices, that this service does not offer."""
    asked = chat.parameters.get("model")
    if asked is None:
        return
    kind: Any = str | None
    name, model = decoded(asked, kind, "model"), supervisor.engine().model
    if name is not None and name not in (model.name, *model.also_named):
        raise ModelNotFound(f"The model {name!r} is not served here.", param="model")


class _EngineAnswer(Response):
    """The engine's answer to a request whose body has been read already."""

    def __init__(self, supervisor: Supervisor, body: bytes) -> None:
        super().__init__()
        self._supervisor = supervisor
        self._turn = supervisor.gate.shared()
        self._request: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def again() -> Message:
            message, self._request = self._request, None
            return message or await receive()

        async with self._turn:
            await _openai_server(self._supervisor).openai(scope, again, send)


def _salt(chat: ChatBody, state: State, tenant: str) -> str | None:
    """The tenant's cache salt, combined with the one that the client sent."""
    within = bytes(chat.parameters.get("cache_salt", b"null"))
    return state.keyring.cache_salt(tenant, within.decode("utf-8", "surrogateescape"))


def _answer_format(asked: ResponseFormat | None) -> dict[str, Any] | None:
    """A structural tag for the requested JSON schema."""
    if asked is None or asked.type == "text":
        return None
    schema = asked.json_schema.json_schema_ if asked.json_schema else {"type": "object"}
    # Without a limit, small models may repeat white space endlessly.
    content = {"type": "json_schema", "json_schema": schema, "max_whitespace_cnt": 2}
    return {"type": "structural_tag", "format": content}


def _usage(review: Review) -> ChatUsage:
    used = review.usage
    return ChatUsage(
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        total_tokens=used.prompt_tokens + used.completion_tokens,
        prompt_tokens_details=CachedTokens(cached_tokens=used.cached_tokens),
    )


def _completion(review: Review) -> ChatCompletion:
    choice = ChatChoice(
        message=ChatMessage(content=review.text), finish_reason=review.finish_reason
    )
    return ChatCompletion(
        id=f"chatcmpl-{review.id}",
        created=review.created,
        model=review.model,
        choices=[choice],
        usage=_usage(review),
        review=review,
    )


async def _chunks(
    events: AsyncGenerator[JobEvent, None], *, with_usage: bool
) -> AsyncGenerator[bytes, None]:
    """The completion as OpenAI's chunks; an error is sent as the last event."""
    begun = ChatChunk(id="", created=0, model="", choices=[])

    def chunk(**delta: str) -> ChatChunk:
        choice = ChatChunkChoice(delta=ChatDelta(**delta))
        return begun.model_copy(update={"choices": [choice]})

    async with aclosing(events):
        async for event in events:
            match event:
                case Accepted(id=review_id, created=created, model=model):
                    begun.id, begun.created, begun.model = f"chatcmpl-{review_id}", created, model
                    yield _event(chunk(role="assistant", content=""))
                case Writing(text=text) if text:
                    yield _event(chunk(content=text))
                case Reviewed(review=review):
                    last = chunk()
                    last.choices[0].finish_reason, last.review = review.finish_reason, review
                    yield _event(last)
                    if with_usage:
                        yield _event(begun.model_copy(update={"usage": _usage(review)}))
                    yield server_event("[DONE]")
                case Failed(error=error):
                    yield server_event(json.dumps(error.envelope()))


def _event(chunk: ChatChunk) -> bytes:
    return server_event(chunk.model_dump_json(exclude_none=True))
