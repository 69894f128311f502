"""Placeholder until the real one lands."""

from app.settings import Settings


class Fetcher:
    def __init__(self, settings: Settings) -> None: ...

    async def fetch(self, url: str) -> bytes:
        raise NotImplementedError

    async def aclose(self) -> None: ...
