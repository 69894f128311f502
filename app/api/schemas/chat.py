"""Chat completions with an attached paper."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from app.api.schemas.base import RequestBody, Resource
from app.api.schemas.requests import ReviewParameters
from app.api.schemas.review import Review


class ChatStreamOptions(RequestBody):
    include_usage: bool = False


class JsonSchemaFormat(BaseModel):
    """OpenAI's object; its other fields (`name`, `strict`, ...) are ignored."""

    json_schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(RequestBody):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None

    @model_validator(mode="after")
    def _schema_comes_with_its_type(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError(
                "json_schema is required for type 'json_schema', and only allowed there"
            )
        return self


class PaperChatRequest(ReviewParameters):
    """A chat completion whose last message attaches a paper.

    Accepts the parameters of a review in addition to OpenAI's.
    """

    mode: Literal["review"] = "review"
    background: Literal[False] = False
    max_completion_tokens: int | None = Field(None, ge=1)
    response_format: ResponseFormat | None = None
    stream_options: ChatStreamOptions | None = None
    n: Literal[1] = 1
    """Always 1. `samples` generates several reviews, and returns the one nearest their mean."""
    user: Any = None
    """Accepted without effect, as are the next three."""
    metadata: Any = None
    store: Any = None
    service_tier: Any = None


class ChatMessage(Resource):
    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(Resource):
    index: Literal[0] = 0
    message: ChatMessage
    finish_reason: str
    logprobs: None = None


class CachedTokens(Resource):
    cached_tokens: int


class ChatUsage(Resource):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class ChatCompletion(Resource):
    """OpenAI's object, with the whole review in addition."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    review: Review


class ChatDelta(Resource):
    role: Literal["assistant"] | None = None
    content: str | None = None


class ChatChunkChoice(Resource):
    index: Literal[0] = 0
    delta: ChatDelta
    finish_reason: str | None = None
    logprobs: None = None


class ChatChunk(Resource):
    """OpenAI's object. The chunk with the finish reason has the whole review in addition."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: ChatUsage | None = None
    review: Review | None = None
