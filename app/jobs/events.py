"""A review's events as clients get them: numbered, encoded once, and stored for later requests.

The events of the first attempt are numbered from 0, those of the second from 1,000,000, and so on.
If a review is started again because its process died, a client that resumes its stream thus gets
all events of the new attempt, from its ``review.created`` on. If an attempt ends without an event
of its own, its end has the highest number of the attempt.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from app.api.schemas.errors import ErrorDetail
from app.api.schemas.events import (
    ReviewCreated,
    ReviewDelta,
    ReviewExtracted,
    ReviewSectionCompleted,
    ReviewVerdict,
    StreamError,
    StreamEvent,
)
from app.api.schemas.review import Review, Verdict
from app.errors import ReviewCancelled, ReviewerError
from app.resources.review import paper_info, prompt_integrity
from app.review.sectioning import SectionDelta, SectionDone, SectionStream
from app.review.service import (
    Accepted,
    Decided,
    Event,
    Failed,
    Prompted,
    ReadingVerdict,
    Writing,
)
from app.store.tables import ReviewRow

_NUMBERS_PER_ATTEMPT = 1_000_000
"""More than any attempt has events."""
_FASTEST = 1


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One encoded event; ``data`` is its JSON. ``error`` is set for an error event."""

    number: int
    type: str
    data: str
    error: ReviewerError | None = None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The review is finished; replaces ``Completed`` in a job's events."""

    review: Review


JobEvent = Event | Reviewed
"""An event for followers of a job: one of the review service's, or ``Reviewed``."""


class EventEncoder:
    """Encodes the events of one attempt."""

    def __init__(self, attempt: int) -> None:
        first = (attempt - 1) * _NUMBERS_PER_ATTEMPT
        self._numbers = count(first)
        self._highest = first + _NUMBERS_PER_ATTEMPT - 1
        self._accepted: Accepted | None = None
        self._sections: dict[int, SectionStream] = {}
        self._cut: set[int] = set()
        """Samples whose text was cut off."""

    def encode(self, event: Event) -> list[StoredEvent]:
        """Encode an event other than ``Completed``; see :meth:`encode_completed`."""
        if isinstance(event, Failed):
            cancelled = isinstance(event.error, ReviewCancelled)
            number = self._highest if cancelled else next(self._numbers)
            return [_error_event(number, event.error)]
        return [
            StoredEvent(one.sequence_number, one.type, one.model_dump_json())
            for one in self._stream_events(event)
        ]

    def encode_completed(self, review: str) -> StoredEvent:
        """Encode ``Completed``; ``review`` is the JSON of the review's resource."""
        return _completed_event(next(self._numbers), review)

    def _stream_events(self, event: Event) -> Iterator[StreamEvent]:
        match event:
            case Accepted(id=review_id, created=created, model=model):
                self._accepted = event
                yield ReviewCreated(
                    sequence_number=next(self._numbers), id=review_id, created=created, model=model
                )
            case Prompted(paper=paper, prompt=prompt):
                yield ReviewExtracted(
                    sequence_number=next(self._numbers),
                    paper=paper_info(paper, prompt),
                    integrity=prompt_integrity(paper, prompt),
                )
            case Writing(sample=sample):
                yield from self._pieces(sample, self._written(event))
            case ReadingVerdict():
                for sample, sections in sorted(self._sections.items()):
                    yield from self._pieces(sample, sections.close(cut=sample in self._cut))
            case Decided(verdict=verdict):
                yield ReviewVerdict(
                    sequence_number=next(self._numbers), verdict=Verdict.model_validate(verdict)
                )

    def _written(self, event: Writing) -> list[SectionDelta | SectionDone]:
        sections = self._sections_of(event.sample)
        if not event.constrained:
            sections.release()
        if event.cut:
            self._cut.add(event.sample)
        return sections.feed(event.text)

    def _sections_of(self, sample: int) -> SectionStream:
        if sample not in self._sections:
            assert self._accepted  # noqa: S101  # it is the first event of all
            self._sections[sample] = SectionStream(
                self._accepted.sections, self._accepted.constraint
            )
        return self._sections[sample]

    def _pieces(
        self, sample: int, pieces: list[SectionDelta | SectionDone]
    ) -> Iterator[ReviewDelta | ReviewSectionCompleted]:
        for piece in pieces:
            number = next(self._numbers)
            if isinstance(piece, SectionDelta):
                yield ReviewDelta(
                    sequence_number=number, sample=sample, section=piece.field, text=piece.text
                )
            else:
                value = piece.value if isinstance(piece.value, str) else list(piece.value)
                yield ReviewSectionCompleted(
                    sequence_number=number, sample=sample, section=piece.field, value=value
                )


def _completed_event(number: int, review: str) -> StoredEvent:
    data = f'{{"sequence_number":{number},"type":"review.completed","review":{review}}}'
    return StoredEvent(number, "review.completed", data)


def _error_event(number: int, error: ReviewerError) -> StoredEvent:
    detail = ErrorDetail.model_validate(error.envelope()["error"])
    event = StreamError(sequence_number=number, error=detail)
    return StoredEvent(number, event.type, event.model_dump_json(), error)


def pack(events: Sequence[StoredEvent]) -> bytes:
    """Compress events for the row, without the review itself, which the row contains already."""
    kept = [
        (one.number, one.type, "" if one.type == "review.completed" else one.data) for one in events
    ]
    return zlib.compress(json.dumps(kept).encode(), _FASTEST)


def unpack(row: ReviewRow) -> list[StoredEvent]:
    """All events of a finished review. Its columns ``review`` and ``events`` must be loaded."""
    kept = json.loads(zlib.decompress(row.events)) if row.events else []
    events = [
        _completed_event(number, row.review or "")
        if kind == "review.completed"
        else StoredEvent(number, kind, data, error_of(row) if kind == "error" else None)
        for number, kind, data in kept
    ]
    if row.status != "completed" and not (events and events[-1].error):
        number = max(row.attempt, 1) * _NUMBERS_PER_ATTEMPT - 1
        events.append(_error_event(number, error_of(row)))
    return events


class _StoredError(ReviewerError):
    """An error that was stored in a row."""

    def __init__(self, stored: dict[str, object]) -> None:
        super().__init__(str(stored["message"]), code=str(stored["code"]))
        self.param = str(stored["param"]) if stored["param"] else None
        self.status = int(str(stored["status"]))  # type: ignore[misc]  # of this one instance
        self.type = str(stored["type"])  # type: ignore[misc]  # the same


def error_of(row: ReviewRow) -> ReviewerError:
    """The error of a review that ended without being completed."""
    return _StoredError(row.error) if row.error else cancelled()


def cancelled() -> ReviewCancelled:
    return ReviewCancelled("The review was cancelled.")
