"""Keeps one engine running: starts it in the background, waits for an answer, restarts it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from app.engine.base import Engine, Generation, Message
from app.engine.gate import EngineGate
from app.engine.start_failures import why
from app.errors import EngineUnavailable, ModelNotStarted, ReviewerError
from app.tasks import EssentialTasks

log = logging.getLogger(__name__)

Launch = Callable[[], Awaitable[Engine]]
"""Loads the model and returns the running engine; minutes, for a large one."""

_LONGEST_PAUSE_S = 60.0
_HANG_S = 120.0
_LOOKS = 4
"""So many looks at whether the engine hangs in the time after which it does."""
_FIRST_ANSWER_S = 600.0
"""The first answer may wait for what is compiled, or for an upstream that is woken up by it."""
_ANSWERS_WITHIN_S = 60.0
"""One token; a CPU has to read the question first, perhaps beside its other work."""


class Supervisor:
    """Owns the engine of a process; everybody else borrows it for one request."""

    def __init__(
        self, launch: Launch, hang_s: float = _HANG_S, first_answer_s: float = _FIRST_ANSWER_S
    ) -> None:
        """``hang_s`` is ``Settings.engine_hang_s``."""
        self._launch = launch
        self._hang_s = hang_s
        self._first_answer_s = first_answer_s
        self._engine: Engine | None = None
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._stopping = asyncio.Event()
        self.tasks = EssentialTasks()
        self.gate = EngineGate()
        self.unready: str | None = "the model has not been started"
        """Why the model can't answer now, in words for a person; None when it can."""

        self.failure: ModelNotStarted | None = None
        """What the last start failed by; None once one has succeeded."""
        self.given_up = asyncio.Event()
        """Set once a start has failed by what does not pass; there will be no other."""

    def engine(self) -> Engine:
        """The running engine.

        Raises:
            EngineUnavailable: it is starting, or died and is being restarted.
        """
        if self._engine is None:
            raise EngineUnavailable(f"The model is not ready: {self.unready}.")
        return self._engine

    def check(self) -> None:
        """For who runs the service: why there is no engine, whole.

        Raises:
            ModelNotStarted: its last start failed.
            EngineUnavailable: it is starting, or died and is being restarted.
        """
        if self.failure:
            raise self.failure
        self.engine()

    def check_running(self, engine: Engine) -> None:
        """
        Raises:
            EngineUnavailable: this engine runs no more.
        """
        if self.engine() is not engine:
            raise EngineUnavailable("The model was restarted before it saw this request.")

    async def answers(self) -> bool:
        """Whether the engine answers a plain question now."""
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                await _ask(self.engine())
        except (ReviewerError, TimeoutError):
            return False
        return True

    async def start(self) -> None:
        """Begin loading the model, and return."""
        self.unready = "the model is loading"
        self._task = self.tasks.start("watch over the engine", self._run(), self._stopping)

    async def stop(self) -> None:
        """Stop the engine, also one that is still loading."""
        self.unready = "the service is stopping"
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def ready(self) -> None:
        """Wait until the model answers.

        Raises:
            ModelNotStarted: its first start failed.
        """
        await self._settled.wait()
        self.check()

    async def _run(self) -> None:
        while engine := await self._started():
            self._engine, self.unready, self.failure = engine, None, None
            self._settled.set()
            log.info("ready: %s on %s", engine.model.name, engine.model.version)
            try:
                reason = await self._end_of(engine)
                log.error("the engine died (%s); restarting it", reason)
                self.unready = f"the engine died ({reason}) and is being restarted"
            finally:
                self._engine = None
                await _close(engine)
        await self._stopping.wait()

    async def _end_of(self, engine: Engine) -> str:
        """Why it can answer no more."""
        ends = [
            asyncio.create_task(_death(engine), name="wait for the engine's end"),
            asyncio.create_task(self._hang(engine), name="search for a hang of the engine"),
        ]
        try:
            ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return ended.pop().result()
        finally:
            for task in ends:
                task.cancel()

    async def _hang(self, engine: Engine) -> str:
        """Wait until it hangs."""
        while True:
            await asyncio.sleep(self._hang_s / _LOOKS)
            try:
                async with asyncio.timeout(self._hang_s):
                    await engine.responds()
            except TimeoutError:
                return f"it has done nothing for {self._hang_s:g} s"
            except Exception as error:  # noqa: BLE001  # of one that is dying, which says so itself
                log.debug("an engine could not be looked at: %s", type(error).__name__)

    async def _started(self) -> Engine | None:
        """An engine that has answered; None where none ever will."""
        pause = 1.0
        while True:
            try:
                return await self._launch_and_ask()
            except Exception as error:
                self.failure = failure = why(error)
                next_s = f"trying again in {pause:.0f} s" if failure.passing else "giving up"
                # There is no paper's text before the first request: the message may be told.
                log.error("the model did not start: %s (%s)", failure.message, failure.code)
                log.error("%s", next_s, exc_info=error)
            if not failure.passing:
                self.unready = f"it can't be started ({failure.code})"
                self.given_up.set()
                self._settled.set()
                return None
            self.unready = f"it did not start ({failure.code}); trying again"
            self._settled.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _launch_and_ask(self) -> Engine:
        """Launch, and let the model answer once; one that is cancelled is closed all the same."""
        launching = asyncio.ensure_future(self._launch())
        try:
            engine = await asyncio.shield(launching)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await (await launching).close()
            raise
        try:
            async with asyncio.timeout(self._first_answer_s):
                await _ask(engine)
        except TimeoutError as error:
            await _close(engine)
            raise EngineUnavailable(
                f"It has not answered a plain question within {self._first_answer_s:g} s."
            ) from error
        except BaseException:
            await _close(engine)
            raise
        return engine


async def _death(engine: Engine) -> str:
    """Why it can answer no more. One that can't be watched is as good as dead."""
    try:
        return await engine.died()
    except Exception as error:
        log.exception("the engine could not be watched")
        return f"watching it failed: {type(error).__name__}"


async def _close(engine: Engine) -> None:
    try:
        await engine.close()
    except Exception:
        # A dead engine may fail in this too; the next one is to be started all the same.
        log.exception("the engine could not be closed in order")


async def _ask(engine: Engine) -> None:
    """Let the model answer a plain question, by one token."""
    question = Generation(
        request_id="first-answer",
        messages=(Message("user", "Hello"),),
        max_tokens=1,
        temperature=0.0,
        top_p=1.0,
    )
    async for _ in engine.generate(question):
        pass
