"""Limits the number of requests in this process, in total and for each tenant."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from app.errors import Overloaded, RateLimited

if TYPE_CHECKING:
    from app.observability.metrics import Metrics
    from app.settings import Settings

_BUSY_KEY_RETRY_S = 5


class ConcurrencyLimiter:
    """Places for requests. Each request takes one. Background reviews take none, but wait while
    their tenant is at its limit.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._most = settings.max_reviews
        self._most_each = settings.max_reviews_per_key
        self._taken: Counter[str] = Counter()
        self._metrics = metrics
        metrics.places.set(self._most)

    def check(self, tenant: str) -> None:
        """Check that a place is free.

        Raises:
            RateLimited: the tenant is at its limit.
            Overloaded: all places are taken.
        """
        if self._most_each is not None and self._taken[tenant] >= self._most_each:
            raise RateLimited(
                f"This key has {self._most_each} reviews running, which is its limit.",
                _BUSY_KEY_RETRY_S,
            )
        if self._taken.total() >= self._most:
            raise Overloaded("The service is at its limit of reviews.")

    def take(self, tenant: str) -> None:
        """Take a place. Raises the same errors as :meth:`check`."""
        self.check(tenant)
        self._taken[tenant] += 1
        self._metrics.places_taken.inc()

    def leave(self, tenant: str) -> None:
        self._taken[tenant] -= 1
        if not self._taken[tenant]:
            del self._taken[tenant]
        self._metrics.places_taken.dec()

    def busy(self, background: Counter[str]) -> set[str]:
        """The tenants at their limit; ``background`` counts their running background reviews."""
        if self._most_each is None:
            return set()
        running = self._taken + background
        return {tenant for tenant, count in running.items() if count >= self._most_each}
