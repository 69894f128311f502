"""The store of all reviews and papers."""

from __future__ import annotations

from app.store.cleanup import Cleanup
from app.store.database import Database
from app.store.edits import EditStore
from app.store.papers import PaperFiles
from app.store.queue import Queue
from app.store.reviews import Reviews


class Store:
    """The store's parts. Their methods raise ``StoreUnavailable`` if database or folder can't be
    used.
    """

    def __init__(self, database: Database, papers: PaperFiles) -> None:
        self.papers = papers
        self.cleanup = Cleanup(database, papers)
        self.reviews = Reviews(database, papers, self.cleanup)
        """Operations for clients."""
        self.edits = EditStore(database)
        """What clients did to reviews' points."""
        self.queue = Queue(database, papers)
        """Operations for workers."""
