"""How much this process works on at the same time: in all, and for each tenant."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from app.errors import Overloaded, RateLimited

if TYPE_CHECKING:
    from app.observability.metrics import Metrics
    from app.settings import Settings

_BUSY_KEY_RETRY_S = 5


class ConcurrencyLimiter:
    """Requests take one each. Background reviews take none, and wait for those of their tenant."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._most = settings.max_reviews
        self._most_each = settings.max_reviews_per_key
        self._taken: Counter[str] = Counter()
        self._metrics = metrics
        metrics.places.set(self._most)

    def check(self, tenant: str) -> None:
        """Whether there is one now.

        Raises:
            RateLimited: the tenant has as many as it may.
            Overloaded: all are taken.
        """
        if self._most_each is not None and self._taken[tenant] >= self._most_each:
            raise RateLimited(
                f"This key has {self._most_each} reviews at work, as many as it may.",
                _BUSY_KEY_RETRY_S,
            )
        if self._taken.total() >= self._most:
            raise Overloaded("The service is working on as many reviews as it takes.")

    def take(self, tenant: str) -> None:
        """Raises as ``check`` does."""
        self.check(tenant)
        self._taken[tenant] += 1
        self._metrics.places_taken.inc()

    def leave(self, tenant: str) -> None:
        self._taken[tenant] -= 1
        if not self._taken[tenant]:
            del self._taken[tenant]
        self._metrics.places_taken.dec()

    def busy(self, background: Counter[str]) -> set[str]:
        """Tenants with as much at work as they may have; ``background`` is what takes no place."""
        if self._most_each is None:
            return set()
        at_work = self._taken + background
        return {tenant for tenant, count in at_work.items() if count >= self._most_each}
