"""Keeps one engine running: starts it in the background, and restarts it when it dies or hangs."""

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
"""Loads the model and returns the running engine; takes minutes for a large model."""

_LONGEST_PAUSE_S = 60.0
_HANG_S = 120.0
_CHECKS_PER_HANG = 4
"""Checks for a hang within the time after which the engine counts as hanging."""
_FIRST_ANSWER_S = 600.0
"""The first answer may have to wait for compilation, or for an upstream that loads its model."""
_ANSWERS_WITHIN_S = 60.0
"""Time for one token, on a CPU perhaps beside other work."""


class Supervisor:
    """Owns the process's engine; other code gets it from :meth:`engine` for each request."""

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
        """Why the model can't answer now, for display; None when it can."""

        self.failure: ModelNotStarted | None = None
        """The failure of the last start; None once a start has succeeded."""
        self.given_up = asyncio.Event()
        """Set once a start has failed for a permanent reason; it is not tried again."""

    def engine(self) -> Engine:
        """The running engine.

        Raises:
            EngineUnavailable: the engine is starting, or died and is being restarted.
        """
        if self._engine is None:
            raise EngineUnavailable(f"The model is not ready: {self.unready}.")
        return self._engine

    def check(self) -> None:
        """Raise the full reason if there is no engine; for the service's operator, not clients.

        Raises:
            ModelNotStarted: the last start failed.
            EngineUnavailable: the engine is starting, or died and is being restarted.
        """
        if self.failure:
            raise self.failure
        self.engine()

    def check_running(self, engine: Engine) -> None:
        """Check that ``engine`` has not been replaced.

        Raises:
            EngineUnavailable: it is no longer running.
        """
        if self.engine() is not engine:
            raise EngineUnavailable("The model was restarted before it saw this request.")

    async def answers(self) -> bool:
        """Whether the engine answers a short request now."""
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                await _ask(self.engine())
        except (ReviewerError, TimeoutError):
            return False
        return True

    async def start(self) -> None:
        """Begin to load the model; returns at once."""
        self.unready = "the model is loading"
        self._task = self.tasks.start("run the engine", self._run(), self._stopping)

    async def stop(self) -> None:
        """Stop the engine, even while it is loading."""
        self.unready = "the service is stopping"
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def ready(self) -> None:
        """Wait until the model answers.

        Raises:
            ModelNotStarted: the first start failed.
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
        """Wait until the engine dies or hangs; returns the reason."""
        ends = [
            asyncio.create_task(_death(engine), name="wait for the engine's death"),
            asyncio.create_task(self._hang(engine), name="wait for a hang of the engine"),
        ]
        try:
            ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return ended.pop().result()
        finally:
            for task in ends:
                task.cancel()

    async def _hang(self, engine: Engine) -> str:
        """Wait until the engine hangs; returns the reason."""
        while True:
            await asyncio.sleep(self._hang_s / _CHECKS_PER_HANG)
            checking = asyncio.create_task(engine.responds(), name="check for a hang")
            try:
                # In parts: where everything stood still together (a paused container, a machine
                # that was asleep), the time is over for one of them alone when it goes on.
                for _ in range(_CHECKS_PER_HANG):
                    await asyncio.wait((checking,), timeout=self._hang_s / _CHECKS_PER_HANG)
                if not checking.done():
                    return f"it has done nothing for {self._hang_s:g} s"
                error = None if checking.cancelled() else checking.exception()
                if error:  # the engine is dying, which _death notices
                    log.debug("checking the engine for a hang failed: %s", type(error).__name__)
            finally:
                checking.cancel()

    async def _started(self) -> Engine | None:
        """Start an engine, trying again as long as that may help; None once it can't."""
        pause = 1.0
        while True:
            try:
                return await self._launch_and_ask()
            except Exception as error:
                self.failure = failure = why(error)
                next_s = f"trying again in {pause:.0f} s" if failure.passing else "giving up"
                # The message can't contain a paper's text: there has been no request yet.
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
        """Launch an engine and let it answer once. If cancelled, the engine is closed."""
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
                f"The model has not answered a short request within {self._first_answer_s:g} s."
            ) from error
        except BaseException:
            await _close(engine)
            raise
        return engine


async def _death(engine: Engine) -> str:
    """Wait until the engine dies; returns the reason. An engine that fails to report is dead
    too.
    """
    try:
        return await engine.died()
    except Exception as error:
        log.exception("waiting for the engine's death failed")
        return f"watching it failed: {type(error).__name__}"


async def _close(engine: Engine) -> None:
    try:
        await engine.close()
    except Exception:
        # Closing a dead engine may fail. The next one is started anyway.
        log.exception("closing the engine failed")


async def _ask(engine: Engine) -> None:
    """Let the model generate one token."""
    question = Generation(
        request_id="first-answer",
        messages=(Message("user", "Hello"),),
        max_tokens=1,
        temperature=0.0,
        top_p=1.0,
    )
    async for _ in engine.generate(question):
        pass
