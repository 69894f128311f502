"""OpenAI's chat completions, where a paper is attached."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from app.api.schemas.base import RequestBody, Resource
from app.api.schemas.requests import ReviewParameters
from app.api.schemas.review import Review


class ChatStreamOptions(RequestBody):
    include_usage: bool = False


class JsonSchemaFormat(BaseModel):
    """OpenAI's; what else it holds (`name`, `strict`, ...) changes nothing here."""

    json_schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(RequestBody):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None

    @model_validator(mode="after")
    def _schema_comes_with_its_type(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema belongs to type 'json_schema', and is needed there")
        return self


class PaperChatRequest(ReviewParameters):
    """A chat completion whose last message attaches a paper.

    Beside OpenAI's parameters it takes those of a review.
    """

    mode: Literal["review"] = "review"
    background: Literal[False] = False
    max_completion_tokens: int | None = Field(None, ge=1)
    response_format: ResponseFormat | None = None
    stream_options: ChatStreamOptions | None = None
    n: Literal[1] = 1
    """One answer; `samples` draws several reviews and answers the one nearest their mean."""
    user: Any = None
    """As the next three: taken, and of no effect."""
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
    """OpenAI's, with the whole review beside it."""

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
    """OpenAI's. The chunk with the finish reason has the whole review beside it."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: ChatUsage | None = None
    review: Review | None = None
