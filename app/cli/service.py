"""The service that a command uses: a running one, or a private one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, TypeVar

from app.settings import load_settings

if TYPE_CHECKING:
    from app.cli.client.api import ApiClient

T = TypeVar("T")

INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM, as in shells (128 + SIGINT)."""


def connect(
    url: str | None, api_key: str | None, model: str | None, connections: int
) -> AbstractAsyncContextManager[ApiClient]:
    """The service at ``url``; without one, a private service, which is started on entering.

    Raises:
        ConfigurationError: the address, the key or a setting is invalid.
    """
    from app.cli.client.api import ApiClient, Endpoint

    if url is not None:
        return ApiClient(Endpoint(url, api_key), connections)
    from app.cli.client.own_service import own_service

    return own_service(load_settings(model=model), connections)


def run(work: Coroutine[None, None, T]) -> T:
    """Like ``asyncio.run``, but SIGTERM cancels the work as Ctrl-C does.

    Raises:
        KeyboardInterrupt: the work was interrupted, and has been cleaned up.
    """

    async def interruptible() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
