"""One attempt at a review, and what it needs."""

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
    """What all runs in a process share."""

    settings: Settings
    store: Store
    supervisor: Supervisor
    service: ReviewService
    cache_salt: Callable[[str], str | None]
    """Returns a tenant's salt; see :meth:`app.api.auth.Keyring.cache_salt`."""
    metrics: Metrics
    traces: Traces


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that was checked against the model, with its paper."""

    prepared: Prepared
    source: Source


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at a review.

    A background review has only its ``row``. Paper and parameters are read from the store as the
    first step of the attempt, so that a failure in this step is handled like any other. A review
    with a waiting client has its ``request``.
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
        """Whether it is being tried alone; see ``app.failures``."""
        return self.row is not None and self.row.suspect


class StopReason(Enum):
    """Why an attempt is stopped early."""

    CANCELLED = auto()
    """A client cancelled it, or no client waits for it any more."""
    CLAIM_VOID = auto()
    """Through another process it was cancelled, deleted or claimed again."""
    SHUTDOWN = auto()
    """The service is stopping."""
