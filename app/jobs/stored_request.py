"""A request's parameters in the database. Their schema is independent of the API's.

A row may be read by a later version of the code than the one that wrote it. A review whose row
can't be read fails with ``StoredRequestUnreadable``.

Version 1 had no number: it was the API's request, with ``stream``, ``background`` and ``reuse``,
which don't influence how a review is made.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from pydantic import ValidationError

from app.api.schemas.requests import ReviewParameters
from app.errors import StoredRequestUnreadable

VERSION: Final = 2
_NOT_STORED = ("stream", "background", "reuse")


class StoredParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Version 2. A new field needs a default; the version must be raised if the field changes the
    meaning of old rows.
    """

    version: Literal[2]
    blind: bool
    model: str | None
    mode: Literal["review", "verdict"]
    template: str
    format: Literal["structured", "free"] | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    seed: int | None
    samples: int
    check_injection: bool
    top_k: int | None = None
    repetition_penalty: float | None = None


def stored_parameters(asked: ReviewParameters) -> dict[str, Any]:
    """The parameters as JSON values, for the row."""
    kept = StoredParameters(
        version=VERSION,
        blind=asked.blind,
        model=asked.model,
        mode=asked.mode,
        template=asked.template,
        format=asked.format,
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_tokens=asked.max_tokens,
        seed=asked.seed,
        samples=asked.samples,
        check_injection=asked.check_injection,
        top_k=asked.top_k,
        repetition_penalty=asked.repetition_penalty,
    )
    stored: dict[str, Any] = msgspec.to_builtins(kept)
    return stored


def read_parameters(stored: dict[str, Any]) -> ReviewParameters:
    """The parameters of a background review.

    Raises:
        StoredRequestUnreadable: they were written by an unknown version.
    """
    if "version" not in stored:
        kept = {name: value for name, value in stored.items() if name not in _NOT_STORED}
        stored = {"version": VERSION, **kept}
    try:
        read = msgspec.convert(stored, StoredParameters)
        return ReviewParameters(
            blind=read.blind,
            model=read.model,
            mode=read.mode,
            template=read.template,
            format=read.format,
            temperature=read.temperature,
            top_p=read.top_p,
            max_tokens=read.max_tokens,
            seed=read.seed,
            samples=read.samples,
            check_injection=read.check_injection,
            top_k=read.top_k,
            repetition_penalty=read.repetition_penalty,
            background=True,
        )
    except (msgspec.ValidationError, ValidationError) as error:
        raise StoredRequestUnreadable(
            "The stored request can't be read: another version of the service wrote it. "
            "Send the request again."
        ) from error


def mode_of(stored: dict[str, Any]) -> Literal["review", "verdict"]:
    """The mode, for display; ``review`` if the row can't be read."""
    return "verdict" if stored.get("mode") == "verdict" else "review"
