"""The structural tag that holds a review to its sections and its verdict line.

A sequence of fixed headings and free text of bounded length: the bounds guarantee that the verdict
comes before the tokens run out. xgrammar enforces it in vLLM and SGLang alike.
"""

from __future__ import annotations

from typing import Any

from app.errors import InvalidRequest
from app.review.template import (
    ACCEPTANCE,
    REJECTION,
    SECTIONS,
    VERDICT_HEADING,
    VERDICT_LEAD,
)

_FIXED_TOKENS = 96
"""For headings, the verdict line and the end of the turn; they take about 60."""
_LEAST_PER_SECTION = 16
LEAST_TOKENS = _FIXED_TOKENS + int(_LEAST_PER_SECTION / min(spec.share for spec in SECTIONS)) + 1


def review_structure(max_tokens: int) -> dict[str, Any]:
    """The structural tag for a review of at most ``max_tokens``.

    Raises:
        InvalidRequest: the sections would be left without room.
    """
    if max_tokens < LEAST_TOKENS:
        raise InvalidRequest(
            f"A structured review needs max_tokens of at least {LEAST_TOKENS}; "
            "send format 'free' for less.",
            param="max_tokens",
        )
    room = max_tokens - _FIXED_TOKENS
    elements: list[dict[str, Any]] = []
    for spec in SECTIONS:
        blank = "\n\n" if elements else ""
        elements.append(_text(f"{blank}## {spec.heading}\n{'- ' if spec.bullets else ''}"))
        elements.append(_free(int(room * spec.share)))
    elements.append(_text(f"\n\n## {VERDICT_HEADING}\n{VERDICT_LEAD}"))
    verdicts = [_text(f" {label}.") for label in (ACCEPTANCE, REJECTION)]
    elements.append({"type": "or", "elements": verdicts})
    return {"type": "structural_tag", "format": {"type": "sequence", "elements": elements}}


def _text(value: str) -> dict[str, Any]:
    return {"type": "const_string", "value": value}


def _free(max_tokens: int) -> dict[str, Any]:
    # No heading and no verdict but ours.
    excludes = ["#", "recommend this paper"]
    return {"type": "any_text", "excludes": excludes, "max_tokens": max_tokens}
