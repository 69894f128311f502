"""One attempt at a review: what is to be done, and what is needed for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from app.engine.supervisor import Supervisor
from app.observability.metrics import Metrics
from app.observability.tracing import Traces
from app.paper.sources import Source
from app.review.service import Prepared, ReviewService
from app.settings import Settings
from app.store.records import Claim
from app.store.store import Store
from app.store.tables import ReviewRow


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What all runs of a process share."""

    settings: Settings
    store: Store
    supervisor: Supervisor
    service: ReviewService
    cache_salt: Callable[[str], str | None]
    """Of a tenant."""
    metrics: Metrics
    traces: Traces


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that suits the model, with its paper."""

    prepared: Prepared
    source: Source


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt.

    A background review has its ``row`` alone. Paper and parameters are read from the store as the
    first step of the attempt, so that a failure to do so is treated like every other. A review that
    a client waits for has its ``request``.
    """

    claim: Claim
    created: float
    tenant: str
    request: CheckedRequest | None = None
    row: ReviewRow | None = None

    @property
    def background(self) -> bool:
        return self.row is not None

    @property
    def suspect(self) -> bool:
        """Whether it is tried alone; see ``app.failures``."""
        return self.row is not None and self.row.suspect


class StopReason(Enum):
    """Why an attempt is stopped before it is done."""

    CANCELLED = auto()
    """By a client, or because no client waits for it any more."""
    CLAIM_VOID = auto()
    """Cancelled, deleted or claimed anew by way of another process."""
    SHUTDOWN = auto()
    """The service stops."""
