"""Gets the papers of a batch reviewed, one at a time each, by a service.

Where the service keeps reviews, a paper goes into its queue (``background``), and a long poll waits
for the review. What follows from that:

- The service tries again what its engine, an upstream or its own restart interrupted; the batch
  only has to ask for the review again. It does not repeat the work of the service: a review that
  has failed there has failed.
- No connection stays silent for longer than ``POLL_S``, however long a review takes, so that a
  proxy with a time limit does no harm.
- The queue waits for a key's turn (``max_reviews_per_key``) instead of answering 429.
- A client that is killed loses nothing: the few reviews in flight are finished and stored, and the
  next run is answered with the stored ones (``reuse``). One that is interrupted cancels them.

The service does not hold thousands of papers: the batch sends the next one when there is room among
its ``concurrency``, so its own memory and the queue stay small.

A service that keeps nothing (``retention: none``, also the one that the command starts itself) has
no queue. There a request waits for its review, and closing the connection cancels it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress

from app.api.schemas.errors import ErrorDetail
from app.api.schemas.requests import ReviewParameters
from app.async_utils import finished
from app.cli.client.api import ApiClient, RequestFailed, Resource, client_error, failed_review
from app.cli.client.batch.retry import Retries, ServiceGone
from app.errors import ReviewNotFound
from app.failures import CONNECTION_LOST
from app.paper.sources import File

POLL_S = 30.0
"""Longest that one request waits for a review in the queue."""
_MIN_POLL_S = 1.0
"""Between two polls for the same review."""
_CANCEL_S = 5.0
_NO_QUEUE = "background_not_kept"


class Reviews:
    """The reviews of one run, all with the same parameters."""

    def __init__(self, client: ApiClient, parameters: ReviewParameters, retries: Retries) -> None:
        self._client = client
        self._parameters = parameters
        self._in_queue = parameters.model_copy(update={"background": True})
        self._retries = retries
        self._has_queue = True

    async def review(self, file: File) -> Resource:
        """The completed review of a paper. Cancelling the call ends the work on it.

        Raises:
            RequestFailed: the paper can't be reviewed, or not now.
            ServiceGone: the service was away for too long.
        """
        if self._has_queue:
            try:
                return await self._through_the_queue(file)
            except RequestFailed as error:
                if error.code != _NO_QUEUE:
                    raise
                self._has_queue = False
        timeout_s = self._retries.patience_s
        return await self._retries.call(
            lambda: self._client.post_review(file, self._parameters, timeout_s=timeout_s)
        )

    async def _through_the_queue(self, file: File) -> Resource:
        # With the key, a request that is repeated because its answer was lost is the same review.
        key = f"batch-{uuid.uuid4().hex}"
        review = await self._retries.call(
            lambda: self._client.post_review(file, self._in_queue, key=key)
        )
        try:
            return await self._ended(review)
        except (asyncio.CancelledError, ServiceGone):
            await self._cancel(review["id"])
            raise

    async def _ended(self, review: Resource) -> Resource:
        """The review once it is completed."""
        started_at = time.monotonic()
        polled_at = started_at - _MIN_POLL_S
        while review["status"] in ("queued", "in_progress"):
            left = self._retries.patience_left_s(started_at)
            if left <= 0:
                raise ServiceGone(f"no answer for {self._retries.patience_s:g} s: no review ended")
            # A service that is stopping answers at once.
            await asyncio.sleep(polled_at + _MIN_POLL_S - time.monotonic())
            polled_at = time.monotonic()
            review = await self._poll(review["id"], min(POLL_S, left))
            if time.monotonic() - polled_at >= POLL_S:
                await self._show_why()
        if review["status"] == "completed":
            return review
        error = review.get("error")
        raise failed_review(
            ErrorDetail.model_validate(error)
            if error
            else client_error("The review was cancelled.", "review_cancelled")
        )

    async def _poll(self, review_id: str, wait_s: float) -> Resource:
        try:
            return await self._retries.call(lambda: self._client.get_review(review_id, wait_s))
        except RequestFailed as error:
            if error.code == ReviewNotFound.code:
                # Deleted, or the service has another database now: not the request's fault.
                raise RequestFailed(error.error, CONNECTION_LOST) from error
            raise

    async def _show_why(self) -> None:
        """Show why a review takes long, if the service is not ready."""
        try:
            await self._client.check_ready()
        except RequestFailed as error:
            self._retries.waiting(error)

    async def _cancel(self, review_id: str) -> None:
        # When the batch ends, this task is cancelled a second time during the request.
        await finished(self._request_cancellation(review_id))

    async def _request_cancellation(self, review_id: str) -> None:
        with suppress(RequestFailed, TimeoutError):
            async with asyncio.timeout(_CANCEL_S):
                await self._client.cancel_review(review_id)
