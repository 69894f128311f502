"""The structural tag that holds a review to its sections and its verdict line.

A sequence of fixed headings and free text of bounded length: the bounds guarantee that the verdict
comes before the tokens run out. xgrammar enforces it, in vLLM and elsewhere.

The fixed parts are spelled as tokens, not as strings: held to a string, a model may write it letter
by letter, and after a few such letters it does so to the end. That runs out of tokens before the
verdict, and moves the verdict itself (seen on SmolLM2: REJECTION at 0.89 came out as ACCEPTANCE).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.engine.base import Tokenizer
from app.errors import InvalidRequest
from app.review.labels import verdict_labels
from app.review.template import VERDICT_HEADING, VERDICT_LEAD, SectionSpec, Template

_LEAST_PER_SECTION = 16
_LETTER = "[A-Za-z\u00c0-\u024f]"
_FIRST_WORD = f"[ \"'(*_]{{0,4}}{_LETTER}[ './-]?{_LETTER}"
"""How a section begins, in two letters: left to itself, a small model leaves every fiftieth review
one empty, and of five hundred that may begin with a digit one holds a list's number and no more."""
_FIRST_WORD_TOKENS = 9
"""Most tokens that this takes, byte by byte."""
_END_OF_TURN = 1
_ENDING = f"\n\n## {VERDICT_HEADING}\n{VERDICT_LEAD}"


def review_structure(tokenizer: Tokenizer, template: Template, max_tokens: int) -> dict[str, Any]:
    """The structural tag for a review of at most ``max_tokens``.

    Raises:
        InvalidRequest: the sections would be left without room.
    """
    budgets = section_budgets(tokenizer, template, max_tokens)
    elements: list[dict[str, Any]] = []
    for spec, heading in zip(template.sections, _headings(template.sections), strict=True):
        elements += _tokens(tokenizer.encode(heading))
        elements.append({"type": "regex", "pattern": _FIRST_WORD})
        elements.append(_free_text(budgets[spec.field]))
    elements += _tokens(tokenizer.encode(_ENDING))
    labels = verdict_labels(tokenizer)
    verdicts = [
        {"type": "sequence", "elements": _tokens(label)} for label in (labels.accept, labels.reject)
    ]
    elements.append({"type": "or", "elements": verdicts})
    return {"type": "structural_tag", "format": {"type": "sequence", "elements": elements}}


def section_budgets(tokenizer: Tokenizer, template: Template, max_tokens: int) -> dict[str, int]:
    """The most tokens of each section after its first word, by its field.

    Raises:
        InvalidRequest: the sections would be left without room.
    """
    labels = verdict_labels(tokenizer)
    texts = [*_headings(template.sections), _ENDING]
    longest_label = max(len(labels.accept), len(labels.reject))
    fixed = sum(tokenizer.count_each(texts)) + longest_label + _END_OF_TURN
    room = max_tokens - fixed
    smallest_share = min(spec.share for spec in template.sections)
    if room * smallest_share < _LEAST_PER_SECTION:
        least = fixed + int(_LEAST_PER_SECTION / smallest_share) + 1
        raise InvalidRequest(
            f"A structured review needs max_tokens of at least {least}; "
            "send format 'free' for less.",
            param="max_tokens",
        )
    return {spec.field: int(room * spec.share) - _FIRST_WORD_TOKENS for spec in template.sections}


def _headings(sections: Iterable[SectionSpec]) -> Iterable[str]:
    for number, spec in enumerate(sections):
        blank = "\n\n" if number else ""
        # The space after the mark belongs to the first word's token.
        yield f"{blank}## {spec.heading}\n{'-' if spec.bullets else ''}"


def _tokens(ids: Iterable[int]) -> list[dict[str, Any]]:
    return [{"type": "token", "token": token} for token in ids]


def _free_text(max_tokens: int) -> dict[str, Any]:
    # No heading and no verdict but ours. The first word may already have taken "I r".
    excludes = ["#", "ecommend this paper"]
    return {"type": "any_text", "excludes": excludes, "max_tokens": max_tokens}
