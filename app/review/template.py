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

    ``special_tokens`` are the tokenizer's: where a paper's text spells one, a space breaks it up,
    so that a paper can't end its turn of the chat and begin another.
    """
    paper = {"title": title, "abstract": abstract, "body": body}
    safe = {name: _defused(text, special_tokens) for name, text in paper.items()}
    return Message("system", SYSTEM), Message("user", _filled(USER, safe))


def _filled(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(title|abstract|body)\}", lambda match: values[match[1]], template)


def _defused(text: str, special_tokens: Iterable[str]) -> str:
    for token in sorted(special_tokens):
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
