"""What people do to a review's points: the model's own text is never changed.

The edits are stored beside the review, by the points' ids. An id is a section's field and the
point's number in it (``weaknesses-2``), the field alone for a section that is one text
(``summary``), or ``own-1`` for a point that somebody added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from app.api.schemas.points import (
    MOST_OWN,
    NewPoint,
    PointEdit,
    PointsPatch,
    PointState,
    ReviewPoints,
)
from app.api.schemas.review import Evidence, Point, Review, ReviewSections
from app.errors import InvalidRequest, PointNotFound
from app.jobs.resource import review_of
from app.review.template import LISTS, PROSE
from app.store.edits import StoredEdits
from app.store.store import Store


class Edit(msgspec.Struct, omit_defaults=True):
    """Of one of the model's points."""

    text: str | None = None
    dismissed: str | None = None
    useful: bool = False


class Own(msgspec.Struct, omit_defaults=True):
    """A point that somebody added."""

    section: str
    text: str
    passage: dict[str, Any] | None = None
    dismissed: str | None = None
    useful: bool = False


class Edits(msgspec.Struct):
    """All that was done to a review's points, as it is stored. A new field needs a default."""

    points: dict[str, Edit] = {}
    own: dict[str, Own] = {}
    added: int = 0
    """Number of points that were ever added, so that no id is used twice."""


class PointsEditor:
    """Each tenant can access only the points of its own reviews.

    All methods raise ``ReviewNotFound`` for an id that is not one of the tenant's, and
    ``ReviewNotCompleted``.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, review_id: str, tenant: str) -> ReviewPoints:
        review = await self._review(review_id, tenant)
        return _resource(review, await self._store.edits.get(review_id))

    async def patch(self, review_id: str, tenant: str, patch: PointsPatch) -> ReviewPoints:
        """Make changes: all of them, or none.

        Raises:
            PointsChanged: the points were changed since ``patch.version``.
            PointNotFound: the review has no such point.
            InvalidRequest: there is no such section, or there are too many points.
        """
        review = await self._review(review_id, tenant)
        stored = await self._store.edits.get(review_id)
        stored.check(patch.version)
        edits = _read(stored.edits)
        for point_id in patch.remove:
            if edits.own.pop(point_id, None) is None:
                raise PointNotFound(f"There is no point {point_id!r} of your own.", param="remove")
        known = {point.id: point for point in _states(review, edits)}
        for edit in patch.edit:
            _apply(edits, edit, known)
        for new in patch.add:
            _add(edits, new, review)
        version = await self._store.edits.put(
            review_id, patch.version, msgspec.to_builtins(edits), _counts(review, edits)
        )
        return _resource(review, StoredEdits(version, msgspec.to_builtins(edits)))

    async def edited(self, review_id: str, tenant: str) -> Review:
        """The review as it was edited: without what was dismissed, with what was added."""
        review = await self._review(review_id, tenant)
        stored = await self._store.edits.get(review_id)
        return with_edits(review, _states(review, _read(stored.edits)))

    async def _review(self, review_id: str, tenant: str) -> Review:
        return review_of(await self._store.reviews.get(review_id, tenant, whole=True))


def _read(stored: Mapping[str, Any]) -> Edits:
    return msgspec.convert(stored, Edits)


def _resource(review: Review, stored: StoredEdits) -> ReviewPoints:
    states = list(_states(review, _read(stored.edits)))
    return ReviewPoints(review_id=review.id, version=stored.version, points=states)


def _written(review: Review) -> Iterator[tuple[str, str, Point | str]]:
    """Id, section and content of all that the model wrote: points, and sections of one text."""
    sections = review.review or ReviewSections()
    fields: dict[str, Any] = {
        **{field: getattr(sections, field) for field in (*PROSE, *LISTS)},
        **sections.other,
    }
    for field, value in fields.items():
        if isinstance(value, str):
            if value:
                yield field, field, value
            continue
        for number, point in enumerate(value, start=1):
            content = Point(text=point) if isinstance(point, str) else point
            yield f"{field}-{number}", field, content


def _states(review: Review, edits: Edits) -> Iterator[PointState]:
    for point_id, section, content in _written(review):
        edit = edits.points.get(point_id, Edit())
        written = content if isinstance(content, str) else content.text
        yield PointState(
            id=point_id,
            section=section,
            kind="section" if isinstance(content, str) else "point",
            written=written,
            text=edit.text or written,
            dismissed=edit.dismissed,
            useful=edit.useful,
            evidence=[] if isinstance(content, str) else content.evidence,
            unsupported=[] if isinstance(content, str) else content.unsupported,
        )
    for point_id, own in edits.own.items():
        yield PointState(
            id=point_id,
            section=own.section,
            kind="point",
            written=None,
            text=own.text,
            dismissed=own.dismissed,
            useful=own.useful,
            evidence=[Evidence(score=1.0, **own.passage)] if own.passage else [],
            unsupported=[],
        )


def _apply(edits: Edits, change: PointEdit, known: Mapping[str, PointState]) -> None:
    if change.id not in known:
        raise PointNotFound(f"The review has no point {change.id!r}.", param="edit")
    given = change.model_fields_set
    own = edits.own.get(change.id)
    edit = own or edits.points.setdefault(change.id, Edit())
    if "text" in given:
        if own and change.text is None:
            raise InvalidRequest("A point of your own has no other text to restore.", param="edit")
        written = known[change.id].written
        edit.text = None if change.text == written else change.text
    if known[change.id].kind == "section" and given & {"dismissed", "useful"}:
        raise InvalidRequest(
            f"{change.id!r} is a section: its text can be edited, it can't be dismissed or marked.",
            param="edit",
        )
    if "dismissed" in given:
        edit.dismissed = change.dismissed
        edit.useful = edit.useful and change.dismissed is None
    if "useful" in given:
        edit.useful = change.useful
        edit.dismissed = None if change.useful else edit.dismissed


def _add(edits: Edits, new: NewPoint, review: Review) -> None:
    if new.section not in lists_of(review):
        raise InvalidRequest(
            f"The review has no list {new.section!r}; there are: {', '.join(lists_of(review))}.",
            param="add",
        )
    if len(edits.own) >= MOST_OWN:
        raise InvalidRequest(f"A review can have {MOST_OWN} points of your own.", param="add")
    edits.added += 1
    passage = new.passage.model_dump(mode="json") if new.passage else None
    edits.own[f"own-{edits.added}"] = Own(new.section, new.text, passage)


def lists_of(review: Review) -> list[str]:
    """The fields of the review's lists."""
    other = review.review.other if review.review else {}
    return [*LISTS, *(field for field, value in other.items() if not isinstance(value, str))]


def _counts(review: Review, edits: Edits) -> dict[str, int]:
    """What is summed over reviews; see ``app.store.edits.COUNTS``."""
    points = [state for state in _states(review, edits) if state.kind == "point"]
    models = [state for state in points if state.written is not None]
    return {
        "points": len(models),
        "edited": sum(state.text != state.written for state in models),
        "useful": sum(state.useful for state in models),
        "wrong": sum(state.dismissed == "wrong" for state in models),
        "trivial": sum(state.dismissed == "trivial" for state in models),
        "not_in_paper": sum(state.dismissed == "not_in_paper" for state in models),
        "added": len(points) - len(models),
    }


def with_edits(review: Review, states: Iterator[PointState]) -> Review:
    """The review with the texts that ``states`` have now, without what is dismissed."""
    texts: dict[str, str] = {}
    lists: dict[str, list[Point]] = {field: [] for field in lists_of(review)}
    for state in states:
        if state.kind == "section":
            texts[state.section] = state.text
        elif not state.dismissed:
            point = Point(text=state.text, evidence=state.evidence, unsupported=state.unsupported)
            lists[state.section].append(point)
    other: dict[str, str | list[str]] = {
        field: [point.text for point in points]
        for field, points in lists.items()
        if field not in LISTS
    }
    other |= {field: text for field, text in texts.items() if field not in PROSE}
    sections = ReviewSections(
        **{field: texts[field] for field in PROSE if field in texts},
        strengths=lists["strengths"],
        weaknesses=lists["weaknesses"],
        other=other,
    )
    return review.model_copy(update={"review": sections})
