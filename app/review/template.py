"""A review's template: the two turns of its prompt, and the sections that it asks for.

The published one (``prompts/default``) is what the model was tuned on, to the letter.
:mod:`app.review.templates` reads templates from files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.engine.base import Message

PUBLISHED = "default"
"""The template that the published model was tuned on."""
VERDICT_HEADING = "Final Recommendation"
VERDICT_LEAD = "I recommend this paper for"
PROSE = ("summary", "technical_soundness", "clarity", "significance")
"""Fields of the review's resource that hold a text."""
LISTS = ("strengths", "weaknesses")
"""Fields of the review's resource that hold points with their evidence."""
FENCE_BEGIN = "<paper>"
FENCE_END = "</paper>"
ACCEPTANCE = "ACCEPTANCE"
REJECTION = "REJECTION"


@dataclass(frozen=True, slots=True)
class SectionSpec:
    """A section that a review must have. ``share`` is its part of the tokens for all sections."""

    field: str
    heading: str
    share: float
    bullets: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """What a review is asked for with."""

    name: str
    system: str
    user: str
    sections: tuple[SectionSpec, ...]

    def messages(
        self, title: str, abstract: str, body: str, special_tokens: frozenset[str] = frozenset()
    ) -> tuple[Message, Message]:
        """The two turns, filled in one pass: a paper's own braces stay.

        The paper can't leave its place in the prompt. Title and abstract keep to one line each; the
        body stands between two lines of a fence. Where the paper's text spells the fence, or one of
        the tokenizer's ``special_tokens``, a space breaks that up.
        """
        markers = _markers(special_tokens)
        paper = {
            "title": _defused(_one_line(title), markers),
            "abstract": _defused(_one_line(abstract), markers),
            "body": f"{FENCE_BEGIN}\n{_defused(body, markers)}\n{FENCE_END}",
        }
        return Message("system", self.system), Message("user", _filled(self.user, paper))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _filled(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(title|abstract|body)\}", lambda match: values[match[1]], template)


def _defused(text: str, markers: frozenset[str]) -> str:
    """``text`` with a space behind the first character of each of the markers in it."""
    begins, lengths = _by_beginning(markers)
    parts, last = [], 0
    for found in begins.finditer(text):
        at = found.start()
        if any(text[at : at + length].lower() in markers for length in lengths):
            parts.append(text[last : at + 1])
            last = at + 1
    return " ".join([*parts, text[last:]])


@lru_cache(maxsize=8)
def _markers(special_tokens: frozenset[str]) -> frozenset[str]:
    # A vocabulary may have thousands: Gemma's, 6,251.
    return frozenset(marker.lower() for marker in (FENCE_BEGIN, FENCE_END, *special_tokens))


@lru_cache(maxsize=8)
def _by_beginning(markers: frozenset[str]) -> tuple[re.Pattern[str], Sequence[int]]:
    """What finds the places where a marker may begin, and how long markers are."""
    first = {marker[0] for marker in markers}
    letters = "".join(map(re.escape, sorted(first | {letter.upper() for letter in first})))
    return re.compile(f"[{letters}]"), sorted({len(marker) for marker in markers})
