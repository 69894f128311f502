"""The events of one run, for all of its followers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from app.jobs.events import JobEvent, Reviewed, StoredEvent
from app.review.service import Failed


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An event, and the encoded events that clients get for it (none, one or several)."""

    event: JobEvent
    encoded: Sequence[StoredEvent]

    @property
    def is_last(self) -> bool:
        return isinstance(self.event, Reviewed | Failed)


class EventLog:
    """A list of events that grows until it is closed. Followers get all events from the first."""

    def __init__(self) -> None:
        self._entries: list[LogEntry] = []
        self._closed = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def encoded(self) -> list[StoredEvent]:
        return [event for entry in self._entries for event in entry.encoded]

    def append(self, event: JobEvent, encoded: Sequence[StoredEvent]) -> None:
        self._entries.append(LogEntry(event, encoded))
        self._wake()

    def close(self) -> None:
        self._closed.set()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self) -> AsyncGenerator[LogEntry, None]:
        seen = 0
        while True:
            while seen < len(self._entries):
                yield self._entries[seen]
                seen += 1
            if self._closed.is_set():
                return
            await self._changed.wait()

    async def last(self) -> JobEvent | None:
        """Wait until the log is closed; returns its last event, None if it is empty."""
        await self._closed.wait()
        return self._entries[-1].event if self._entries else None
