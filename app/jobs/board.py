"""The reviews that this process works on, and those that somebody here waits for."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from app.store.store import Store
from app.waiting import wait_for

if TYPE_CHECKING:
    from app.jobs.run import Run

LOOK_S = 1.0
"""Between two looks at what other processes have done."""


class Board:
    """Wakes who waits: at once for what happens here, by one look a second for the rest."""

    def __init__(self, store: Store) -> None:
        self.runs: dict[str, Run] = {}
        self._store = store
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    async def change(self, review_id: str, timeout_s: float | None = None) -> None:
        """Wait until the review begins or ends here, or ends anywhere; or for so long."""
        if self._closed:
            return
        changed = asyncio.Event()
        self._waiting[review_id].add(changed)
        try:
            await wait_for(changed, timeout_s)
        finally:
            self._waiting[review_id].discard(changed)
            if not self._waiting[review_id]:
                del self._waiting[review_id]

    def changed(self, review_id: str) -> None:
        for waiting in self._waiting.get(review_id, ()):
            waiting.set()

    def close(self) -> None:
        """Nobody waits here any longer."""
        self._closed = True
        for review_id in self._waiting:
            self.changed(review_id)

    @property
    def closed(self) -> bool:
        return self._closed

    async def look(self) -> None:
        """At the reviews that are waited for and not made here, all in one query."""
        elsewhere = self._waiting.keys() - self.runs.keys()
        if elsewhere:
            for review_id in await self._store.ended(elsewhere):
                self.changed(review_id)
