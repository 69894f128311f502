"""An engine that says what it is told to, for outputs that a model can't be made to give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from app.engine.base import Delta, Generation, LabelRead, ServedModel, Tokenizer, Usage

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

WHOLE_REVIEW = """## Summary
It counts tokens.

## Strengths
- It counts them once.
- It says so.

## Weaknesses
- It counts nothing else.

## Technical Soundness
Sound.

## Clarity and Writing
Clear.

## Significance
Some.

## Final Recommendation
I recommend this paper for ACCEPTANCE."""


class ScriptedEngine:
    """Implements :class:`app.engine.base.Engine` without a model.

    ``texts`` are the answers, one for each request, the last one again and again. An exception
    among them is raised instead. ``logprobs`` are those of acceptance and rejection.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        texts: Sequence[str | Exception] = (WHOLE_REVIEW,),
        logprobs: tuple[float, float] | None = (-0.5, -1.5),
        finish_reason: str = "stop",
        delay_s: float = 0.0,
        model: ServedModel | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.model = model or ServedModel("scripted", 8192, 1024, version="scripted 1")
        self.texts = list(texts)
        self.logprobs = logprobs
        self.finish_reason = finish_reason
        self.delay_s = delay_s
        self.generations: list[Generation] = []
        self.label_reads: list[LabelRead] = []
        self.aborted = 0
        self.closed = False
        self.death = asyncio.Event()

    async def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        if request.request_id == "first-answer":
            yield Delta("Hello", "stop", Usage(1, 1, 0))
            return
        self.generations.append(request)
        text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        if isinstance(text, Exception):
            raise text
        try:
            for line in text.splitlines(keepends=True):
                await asyncio.sleep(self.delay_s)
                yield Delta(line)
            yield Delta("", self.finish_reason, Usage(100, 50, 10))  # type: ignore[arg-type]
        except (asyncio.CancelledError, GeneratorExit):
            self.aborted += 1
            raise

    async def read_labels(self, request: LabelRead) -> dict[int, float]:
        self.label_reads.append(request)
        if self.logprobs is None:
            return {}
        return dict(zip(request.token_ids, self.logprobs, strict=True))

    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"object": "list", "data": []})(scope, receive, send)

    def metrics(self) -> bytes:
        return b"scripted_engine 1.0\n"

    async def died(self) -> str:
        await self.death.wait()
        return "it was told to"

    async def close(self) -> None:
        self.closed = True


Script = Callable[..., ScriptedEngine]
