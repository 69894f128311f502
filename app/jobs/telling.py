"""A review's events as clients get them: numbered, serialised once, kept, told again.

The first attempt's are numbered from 0, the second's from a million, and so on. Where a review had
to begin again, with its process gone, a client that resumes is therefore told all of the new
attempt, which starts with ``review.created`` again. The last number of an attempt is that of its
end where this was no event of the review itself: an error that nobody was there to tell.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.errors import ReviewCancelled, ReviewerError
from app.review.service import Completed, Event, Failed
from app.review.streaming import Narrator
from app.schemas.errors import ErrorDetail
from app.schemas.events import StreamError
from app.store.tables import ReviewRow

_NUMBERS = 1_000_000
"""More than any attempt has events."""
_FASTEST = 1


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it stands on the wire; ``error`` where it is one."""

    number: int
    type: str
    data: str
    error: ReviewerError | None = None


class Teller:
    """Tells of one attempt."""

    def __init__(self, attempt: int) -> None:
        first = (attempt - 1) * _NUMBERS
        self._end = first + _NUMBERS - 1
        self._narrator = Narrator(first)

    def tell(self, event: Event) -> Iterator[Told]:
        if isinstance(event, Failed) and isinstance(event.error, ReviewCancelled):
            yield _error(self._end, event.error)
            return
        for told in self._narrator.tell(event):
            error = event.error if isinstance(event, Failed) else None
            yield Told(told.sequence_number, told.type, told.model_dump_json(), error)

    def complete(self, event: Completed, review: str) -> Told:
        """``review`` is the resource's JSON, which need not be made a second time."""
        (told,) = self._narrator.tell(event)
        return _completed(told.sequence_number, review)


def _completed(number: int, review: str) -> Told:
    data = f'{{"sequence_number":{number},"type":"review.completed","review":{review}}}'
    return Told(number, "review.completed", data)


def _error(number: int, error: ReviewerError) -> Told:
    detail = ErrorDetail.model_validate(error.envelope()["error"])
    told = StreamError(sequence_number=number, error=detail)
    return Told(number, told.type, told.model_dump_json(), error)


def pack(told: Sequence[Told]) -> bytes:
    """For the row. The whole review is in it already: of its event only the number is kept."""
    kept = [
        (one.number, one.type, "" if one.type == "review.completed" else one.data) for one in told
    ]
    return zlib.compress(json.dumps(kept).encode(), _FASTEST)


def unpack(row: ReviewRow) -> list[Told]:
    """What was told of a review that has ended, ``review`` and ``events`` loaded."""
    kept = json.loads(zlib.decompress(row.events)) if row.events else []
    told = [
        _completed(number, row.review or "")
        if kind == "review.completed"
        else Told(number, kind, data, error_of(row) if kind == "error" else None)
        for number, kind, data in kept
    ]
    if row.status != "completed" and not (told and told[-1].error):
        told.append(_error(max(row.attempt, 1) * _NUMBERS - 1, error_of(row)))
    return told


class _Stored(ReviewerError):
    """An error that was written down, as it was."""

    def __init__(self, told: dict[str, object]) -> None:
        super().__init__(str(told["message"]), code=str(told["code"]))
        self.param = str(told["param"]) if told["param"] else None
        self.status = int(str(told["status"]))  # type: ignore[misc]  # of this one instance
        self.type = str(told["type"])  # type: ignore[misc]


def error_of(row: ReviewRow) -> ReviewerError:
    """Why there is no review in this row, which has ended without one."""
    return _Stored(row.error) if row.error else cancelled()


def cancelled() -> ReviewCancelled:
    return ReviewCancelled("The review was cancelled.")
