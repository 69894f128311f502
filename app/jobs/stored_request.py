"""What the database keeps of a request: a form of its own, so that the API's may change.

A row may be read by a later version of the code than the one that wrote it. What can't be read any
more has failed, once, with ``StoredRequestUnreadable``.

Version 1 had no number. It was the API's request as it came, with ``stream``, ``background`` and
``reuse``, which say nothing of how a review is made.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from pydantic import ValidationError

from app.api.schemas.requests import ReviewParameters
from app.errors import StoredRequestUnreadable

VERSION: Final = 2
_NOT_STORED = ("stream", "background", "reuse")


class StoredParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Version 2. A field that is added needs a default, and a new number where old rows change
    their meaning by it.
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


def stored_parameters(asked: ReviewParameters) -> dict[str, Any]:
    """As JSON holds them."""
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
    )
    stored: dict[str, Any] = msgspec.to_builtins(kept)
    return stored


def read_parameters(stored: dict[str, Any]) -> ReviewParameters:
    """The parameters of a background review.

    Raises:
        StoredRequestUnreadable: no version that this code knows of has written them.
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
            background=True,
        )
    except (msgspec.ValidationError, ValidationError) as error:
        raise StoredRequestUnreadable(
            "What was asked for can't be read any more: another version of the service wrote it. "
            "Send the request again."
        ) from error


def mode_of(stored: dict[str, Any]) -> Literal["review", "verdict"]:
    """For showing a row; of one that can't be read, what most have asked for."""
    return "verdict" if stored.get("mode") == "verdict" else "review"
