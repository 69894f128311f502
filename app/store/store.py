"""Every review of all tenants, with their papers: the store's three parts side by side."""

from __future__ import annotations

from app.store.cleanup import Cleanup
from app.store.database import Database
from app.store.papers import PaperFiles
from app.store.queue import Queue
from app.store.reviews import Reviews


class Store:
    """All methods of its parts raise ``StoreUnavailable`` if database or folder can't be used."""

    def __init__(self, database: Database, papers: PaperFiles) -> None:
        self.papers = papers
        self.cleanup = Cleanup(database, papers)
        self.reviews = Reviews(database, papers, self.cleanup)
        """What clients do with reviews, and see of them."""
        self.queue = Queue(database, papers)
        """What those do that make the reviews."""
