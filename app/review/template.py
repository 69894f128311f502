"""A review template: the two messages of the prompt, and the sections that it asks for.

The published model was tuned on exactly the template in ``prompts/default``.
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
    """A section that a review must have. ``share`` is its part of all sections' tokens, 0 to 1."""

    field: str
    heading: str
    share: float
    bullets: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """The prompt's texts with placeholders, and the sections of the review."""

    name: str
    system: str
    user: str
    sections: tuple[SectionSpec, ...]

    def messages(
        self, title: str, abstract: str, body: str, special_tokens: frozenset[str] = frozenset()
    ) -> tuple[Message, Message]:
        """The two messages, with the paper filled in. Braces in the paper are kept.

        The paper can't break out of its place in the prompt: title and abstract are put on one line
        each, and the body between two fence lines. Where the paper contains the fence or one of the
        tokenizer's ``special_tokens``, a space is inserted into it.
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
    """``text`` with a space after the first character of each marker in it."""
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
    # Cached, as a vocabulary may have thousands of special tokens (Gemma's has 6,251).
    return frozenset(marker.lower() for marker in (FENCE_BEGIN, FENCE_END, *special_tokens))


@lru_cache(maxsize=8)
def _by_beginning(markers: frozenset[str]) -> tuple[re.Pattern[str], Sequence[int]]:
    """A pattern for the first characters of markers, and the lengths of markers."""
    first = {marker[0] for marker in markers}
    letters = "".join(map(re.escape, sorted(first | {letter.upper() for letter in first})))
    return re.compile(f"[{letters}]"), sorted({len(marker) for marker in markers})
