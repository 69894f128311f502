"""A review's events as a client sees them: typed, numbered, the text cut into its sections."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from app.review.resource import paper_info, review_integrity
from app.review.sectioning import SectionDelta, SectionDone, SectionStream
from app.review.service import (
    Accepted,
    Completed,
    Decided,
    Event,
    Failed,
    Judging,
    Prompted,
    Writing,
)
from app.schemas.errors import ErrorDetail
from app.schemas.events import (
    ReviewCompleted,
    ReviewCreated,
    ReviewDelta,
    ReviewExtracted,
    ReviewSectionCompleted,
    ReviewVerdict,
    StreamError,
    StreamEvent,
)


class Narrator:
    """Turns one review's events into the client's; keeps each sample's place in its sections.

    The client's are numbered from ``first``.
    """

    def __init__(self, first: int = 0) -> None:
        self._numbers = count(first)
        self._accepted: Accepted | None = None
        self._samples: dict[int, SectionStream] = {}
        self._cut: set[int] = set()

    def tell(self, event: Event) -> Iterator[StreamEvent]:
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
                    integrity=review_integrity(paper, prompt),
                )
            case Writing(sample=sample):
                yield from self._pieces(sample, self._written(event))
            case Judging():
                for sample, writing in sorted(self._samples.items()):
                    yield from self._pieces(sample, writing.close(cut=sample in self._cut))
            case Decided(verdict=verdict):
                yield ReviewVerdict(sequence_number=next(self._numbers), verdict=verdict)
            case Completed(review=review):
                yield ReviewCompleted(sequence_number=next(self._numbers), review=review)
            case Failed(error=error):
                detail = ErrorDetail.model_validate(error.envelope()["error"])
                yield StreamError(sequence_number=next(self._numbers), error=detail)

    def _written(self, event: Writing) -> list[SectionDelta | SectionDone]:
        writing = self._sections_of(event.sample)
        if not event.constrained:
            writing.release()
        if event.cut:
            self._cut.add(event.sample)
        return writing.feed(event.text)

    def _sections_of(self, sample: int) -> SectionStream:
        if sample not in self._samples:
            assert self._accepted  # noqa: S101  # it is the first event of all
            self._samples[sample] = SectionStream(
                self._accepted.sections, self._accepted.constraint
            )
        return self._samples[sample]

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
