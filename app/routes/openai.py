"""``/v1/models`` and ``/v1/chat/completions``: the engine's own ASGI application, as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from app.engine.supervisor import Supervisor

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class _EngineApp:
    """Hands a request to whatever engine runs now."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._supervisor.engine().openai(scope, receive, send)


def openai_routes(supervisor: Supervisor) -> list[Route]:
    """The routes that an OpenAI client needs."""
    app = _EngineApp(supervisor)
    return [
        Route("/v1/models", app, methods=["GET"]),
        Route("/v1/chat/completions", app, methods=["POST"]),
    ]
