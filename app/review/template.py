"""The published prompt, and the review's format that it asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from app.engine.base import Message

_PROMPTS = files("app.review") / "prompts"
SYSTEM = (_PROMPTS / "system.txt").read_text(encoding="utf-8")
USER = (_PROMPTS / "user.txt").read_text(encoding="utf-8")

VERDICT_LEAD = "I recommend this paper for"
VERDICT_HEADING = "Final Recommendation"
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


SECTIONS = (
    SectionSpec("summary", "Summary", 0.20),
    SectionSpec("strengths", "Strengths", 0.20, bullets=True),
    SectionSpec("weaknesses", "Weaknesses", 0.24, bullets=True),
    SectionSpec("technical_soundness", "Technical Soundness", 0.14),
    SectionSpec("clarity", "Clarity and Writing", 0.10),
    SectionSpec("significance", "Significance", 0.12),
)


def messages(
    title: str, abstract: str, body: str, special_tokens: Iterable[str] = ()
) -> tuple[Message, Message]:
    """The two turns that the model was tuned on, filled in one pass: a paper's own braces stay.

    The paper can't leave its place in the prompt. Title and abstract keep to one line each; the
    body stands between two lines of a fence. Where the paper's text spells the fence, or one of
    the tokenizer's ``special_tokens``, a space breaks that up.
    """
    markers = [FENCE_BEGIN, FENCE_END, *special_tokens]
    paper = {
        "title": _defused(_one_line(title), markers),
        "abstract": _defused(_one_line(abstract), markers),
        "body": f"{FENCE_BEGIN}\n{_defused(body, markers)}\n{FENCE_END}",
    }
    return Message("system", SYSTEM), Message("user", _filled(USER, paper))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _filled(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(title|abstract|body)\}", lambda match: values[match[1]], template)


def _defused(text: str, markers: Iterable[str]) -> str:
    for marker in sorted(markers):
        broken = f"{marker[0]} {marker[1:]}"
        text = re.sub(re.escape(marker), broken, text, flags=re.IGNORECASE)
    return text
