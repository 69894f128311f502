"""An engine that says what it is told to, for outputs that a model can't be made to give."""

from __future__ import annotations

import asyncio
import itertools
import re
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from app.engine.base import (
    Delta,
    Generation,
    Message,
    NextTokenLogprobs,
    NextTokenQuery,
    ServedModel,
    Tokenizer,
    Usage,
)
from app.errors import ConstraintFailed, EngineDied, EngineError, EngineUnavailable

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

Logprobs = tuple[float, float] | Exception | None

_LOOK_S = 0.005
KILLS, HANGS = "KILL-THE-ENGINE", "HANG-THE-ENGINE"

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


class WordTokenizer:
    """Implements :class:`app.engine.base.Tokenizer`: a token is a word with the space before it.

    It is there in no time, where a model's own takes seconds to load.
    """

    special_tokens: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        return [self._ids.setdefault(word, len(self._ids)) for word in re.findall(r"\s*\S+", text)]

    def count_each(self, texts: Sequence[str]) -> list[int]:
        return [len(self.encode(text)) for text in texts]

    def render(self, messages: Sequence[Message], prefix: str = "") -> str:
        return "\n".join(message.content for message in messages) + f"\n{prefix}"


class Refused(str):
    """A text after which the engine can't hold its answer to the structure any further."""


class PlainEngine:
    """Implements :class:`app.engine.base.Engine` without a model.

    ``texts`` are the answers, one for each sample, the last one again and again. An exception among
    them is raised instead. ``logprobs`` are those of acceptance and rejection, likewise. A prompt
    with ``KILLS`` in it ends the engine, one with ``HANGS`` is never answered.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        texts: Sequence[str | Exception] = (WHOLE_REVIEW,),
        logprobs: Logprobs | list[Logprobs] = (-0.5, -1.5),
        finish_reason: str = "stop",
        delay_s: float = 0.0,
        model: ServedModel | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.model = model or ServedModel("scripted", 8192, 1024, version="scripted 1")
        self.texts = list(texts)
        self.logprobs = logprobs if isinstance(logprobs, list) else [logprobs]
        self.finish_reason = finish_reason
        self.delay_s = delay_s
        self.generations: list[Generation] = []
        self.label_reads: list[NextTokenQuery] = []
        self.aborted = 0
        self.closed = False
        self.death = asyncio.Event()
        """Set, it is dead until the supervisor starts it again."""
        self.deaths = 0
        self.hangs = False
        """Whether it does nothing, until it is closed."""
        self.looked_at = 0
        """How often it was asked whether it hangs."""

    async def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        if self.death.is_set():
            raise EngineUnavailable("It is dead.")
        if request.request_id == "first-answer":
            await self.responds()
            yield Delta("Hello", "stop", Usage(1, 1, 0))
            return
        self.generations.append(request)
        texts: list[str] = []
        for _ in range(request.n):
            text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
            if isinstance(text, Exception):
                raise text
            texts.append(text)
        refused = {
            i for i, text in enumerate(texts) if request.structure and isinstance(text, Refused)
        }
        samples = [text.splitlines(keepends=True) for text in texts]
        try:
            for lines in itertools.zip_longest(*samples, fillvalue=""):
                await self._work(request)
                for index, line in enumerate(lines):
                    yield Delta(line, index=index)
            for index in set(range(request.n)) - refused:
                usage = Usage(100, 50, 10)
                yield Delta("", self.finish_reason, usage, index)  # type: ignore[arg-type]
        except (asyncio.CancelledError, GeneratorExit):
            self.aborted += 1
            raise
        if refused:
            raise ConstraintFailed(EngineError("It refused a token."))

    async def _work(self, request: Generation) -> None:
        """As long as a line takes, or until the engine dies."""
        deaths, said = self.deaths, "\n".join(message.content for message in request.messages)
        await asyncio.sleep(self.delay_s)
        if KILLS in said:
            self.die()
        while self.hangs and self.deaths == deaths:
            await asyncio.sleep(_LOOK_S)
        if self.deaths > deaths:
            raise EngineDied("It died while it worked on this.")
        if HANGS in said:
            await asyncio.Event().wait()

    async def next_token_logprobs(self, request: NextTokenQuery) -> NextTokenLogprobs:
        self.label_reads.append(request)
        logprobs = self.logprobs.pop(0) if len(self.logprobs) > 1 else self.logprobs[0]
        if isinstance(logprobs, Exception):
            raise logprobs
        of = {} if logprobs is None else dict(zip(request.token_ids, logprobs, strict=True))
        return NextTokenLogprobs(of, Usage(120, 1, 90))

    def metrics(self) -> bytes:
        return b"scripted_engine 1.0\n"

    def die(self) -> None:
        """With all that is in flight."""
        self.deaths += 1
        self.death.set()

    async def died(self) -> str:
        await self.death.wait()
        return "it was told to"

    async def responds(self) -> None:
        self.looked_at += 1
        while self.hangs:
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        self.closed = True
        if self.hangs:
            self.deaths += 1
        self.hangs = False
        self.death.clear()


class ScriptedEngine(PlainEngine):
    """Answers OpenAI's requests too, all alike, and keeps their bodies in ``chats``."""

    takes_cache_salt = True

    def __init__(self, tokenizer: Tokenizer, *args: Any, **how: Any) -> None:
        super().__init__(tokenizer, *args, **how)
        self.chats: list[bytes] = []

    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.chats.append(await Request(scope, receive).body())
        await JSONResponse({"object": "list", "data": []})(scope, receive, send)


Script = Callable[..., ScriptedEngine]


class GatedEngine(ScriptedEngine):
    """Its reviews stop behind their first ``lines`` lines for as long as the gate is shut.

    With ``of`` only those whose prompt has these words in it.
    """

    def __init__(self, tokenizer: Tokenizer, *, lines: int = 0, of: str = "", **how: Any) -> None:
        super().__init__(tokenizer, **how)
        self.lines, self.of = lines, of
        self.gate = threading.Event()

    def is_open(self) -> bool:
        return self.gate.is_set()

    async def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        said = "".join(message.content for message in request.messages)
        stops = request.request_id != "first-answer" and self.of in said
        written = 0
        async with aclosing(super().generate(request)) as deltas:
            async for delta in deltas:
                # A test opens it from another thread, or another process.
                while stops and written == self.lines and not self.is_open():
                    await asyncio.sleep(0.005)
                written += 1
                yield delta
