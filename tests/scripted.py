"""The real service around an engine double, in a process of its own.

    python -m tests.scripted --port PORT

``SCRIPTED_DELAY_S`` is a pause before each line of a review, ``SCRIPTED_GATE`` a file without which
none is written, ``SCRIPTED_TEXT`` a text that reviews have in them; ``SCRIPTED_TOKENIZER=smollm2``
counts as a model does, which takes seconds to load. A paper that says CRASH-THE-ENGINE gets an
exception with the whole prompt in it, and one that says KILL-THE-PROCESS ends this process;
``tests.doubles`` has more such words. ``SCRIPTED_FAULTS`` is a folder that is looked into while it
runs: a file ``die`` there ends the engine, once, and while there is a file ``hang`` it answers
nobody.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from app.api.auth import check_exposure
from app.api.server import Server
from app.engine.base import Delta, Generation, NextTokenLogprobs, NextTokenQuery, Tokenizer
from app.errors import EngineDied
from app.main import create_app
from app.observability.logs import configure_logging
from app.settings import Settings, load_settings
from tests.doubles import WHOLE_REVIEW, GatedEngine, Logprobs, WordTokenizer

LOGPROBS: list[Logprobs] = [(-0.1, -2.5), (-2.0, -0.2), (-0.7, -0.7)]

KILLS_THE_PROCESS = "KILL-THE-PROCESS"
DIE, HANG = "die", "hang"
_LOOK_S = 0.02


class TouchyEngine(GatedEngine):
    faults = Path(os.environ.get("SCRIPTED_FAULTS", os.devnull))

    def is_open(self) -> bool:
        gate = os.environ.get("SCRIPTED_GATE")
        return gate is None or Path(gate).exists()

    async def _work(self, request: Generation) -> None:
        deaths = self.deaths
        while self.deaths == deaths and (self.faults / HANG).exists():
            await asyncio.sleep(_LOOK_S)
        if self.deaths > deaths:
            raise EngineDied("It died while it hung.")
        await super()._work(request)

    async def died(self) -> str:
        while not self.death.is_set():
            if (self.faults / DIE).exists():
                (self.faults / DIE).unlink()
                self.die()
            await asyncio.sleep(_LOOK_S)
        return await super().died()

    async def responds(self) -> None:
        while (self.faults / HANG).exists():
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        if (self.faults / HANG).exists():
            (self.faults / HANG).unlink()
            self.deaths += 1
        await super().close()

    async def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        while (self.faults / HANG).exists() and not self.death.is_set():
            await asyncio.sleep(_LOOK_S)
        said = "\n".join(message.content for message in request.messages)
        if "CRASH-THE-ENGINE" in said:
            raise ValueError(said)
        if KILLS_THE_PROCESS in said:
            os.kill(os.getpid(), signal.SIGKILL)
        async with aclosing(super().generate(request)) as deltas:
            async for delta in deltas:
                yield delta

    async def next_token_logprobs(self, request: NextTokenQuery) -> NextTokenLogprobs:
        if any("CRASH-THE-VERDICT" in message.content for message in request.messages):
            raise ValueError(request.prefix)
        return await super().next_token_logprobs(request)


def tokenizer(settings: Settings) -> Tokenizer:
    if os.environ.get("SCRIPTED_TOKENIZER") == "smollm2":
        from app.engine.models import SMOLLM2, locate
        from app.engine.tokenizer import ChatTokenizer

        return ChatTokenizer.load(locate(SMOLLM2, settings.cache_dir))
    return WordTokenizer()


def main() -> None:
    settings = load_settings(port=int(sys.argv[sys.argv.index("--port") + 1]))
    check_exposure(settings)
    configure_logging(settings.log_level, settings.log_format)
    text = WHOLE_REVIEW.replace("It counts", f"{os.environ.get('SCRIPTED_TEXT', '')} It counts")
    engine = TouchyEngine(
        tokenizer(settings),
        texts=[text],
        logprobs=LOGPROBS * 1000,
        delay_s=float(os.environ.get("SCRIPTED_DELAY_S", "0")),
    )
    Server(create_app(settings, engine), settings).run()


if __name__ == "__main__":
    main()
