"""The structural tag that makes the engine write a review's sections and its verdict line.

It alternates fixed headings with free text of bounded length. The bounds guarantee that the verdict
is written before the tokens run out. xgrammar enforces it, in vLLM and elsewhere.

The fixed parts are given as tokens, not as strings: constrained to a string, a model may write it
letter by letter, and after a few such letters it continues so. It then runs out of tokens before
the verdict, and the verdict itself changes (seen on SmolLM2: REJECTION at 0.89 became ACCEPTANCE).
Only the blank line before a heading is a string. As a token it could also belong to the text before
it, and after such a token xgrammar 0.2.8 allows no further token.

The free text is a regular expression and not xgrammar's ``any_text``, which accepts text that ends
within a character, and special tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from app.engine.base import Tokenizer
from app.errors import InvalidRequest
from app.review.avoiding import text_without
from app.review.labels import verdict_labels
from app.review.template import (
    ACCEPTANCE,
    REJECTION,
    VERDICT_HEADING,
    VERDICT_LEAD,
    SectionSpec,
    Template,
)

_LEAST_PER_SECTION = 16
_LETTER = "[A-Za-z\u00c0-\u024f]"
_FIRST_WORD = f"[ \"'(*_]{{0,4}}{_LETTER}[ './-]?{_LETTER}"
"""A section must begin with two letters. Without that, a small model leaves a section empty in one
review of fifty; if it may begin with a digit, one section of five hundred is only a list number."""
_FORBIDDEN = ("#", "mend this paper")
"""Headings, and parts of a verdict line ("I recommend this paper for ..."), within free text."""
_AFTER_TEXT = 5
"""Most tokens beyond a section's budget: to complete its last character, and for the blank line."""
_END_OF_TURN = 1
_ENDING = f"## {VERDICT_HEADING}\n{VERDICT_LEAD}"


def review_structure(tokenizer: Tokenizer, template: Template, max_tokens: int) -> dict[str, Any]:
    """The structural tag for a review of at most ``max_tokens``.

    Raises:
        InvalidRequest: ``max_tokens`` is too small for the sections.
    """
    budgets = section_budgets(tokenizer, template, max_tokens)
    labels = verdict_labels(tokenizer)
    fixed = [*map(_heading, template.sections), _ENDING]
    grammar = _grammar(
        [tokenizer.encode(part) for part in fixed],
        list(budgets.values()),
        (labels.accept, labels.reject),
        _FIRST_WORD + text_without([*_FORBIDDEN, *_special(tokenizer.special_tokens)]),
    )
    return {"type": "structural_tag", "format": {"type": "grammar", "grammar": grammar}}


def section_budgets(tokenizer: Tokenizer, template: Template, max_tokens: int) -> dict[str, int]:
    """The most tokens of each section, by its field. Completing a character may take a few more.

    Raises:
        InvalidRequest: ``max_tokens`` is too small for the sections.
    """
    labels = verdict_labels(tokenizer)
    texts = [*map(_heading, template.sections), _ENDING]
    longest_label = max(len(labels.accept), len(labels.reject))
    fixed = sum(tokenizer.count_each(texts)) + longest_label + _END_OF_TURN
    fixed += _AFTER_TEXT * len(template.sections)
    room = max_tokens - fixed
    smallest_share = min(spec.share for spec in template.sections)
    if room * smallest_share < _LEAST_PER_SECTION:
        least = fixed + int(_LEAST_PER_SECTION / smallest_share) + 1
        raise InvalidRequest(
            f"A structured review needs max_tokens of at least {least}; "
            "send format 'free' for less.",
            param="max_tokens",
        )
    return {spec.field: int(room * spec.share) for spec in template.sections}


def _heading(spec: SectionSpec) -> str:
    # No space after the list mark: it belongs to the first word's token.
    return f"## {spec.heading}\n{'-' if spec.bullets else ''}"


def _special(tokens: Iterable[str]) -> set[str]:
    # Two characters identify them ("<|", "<e", but not "p < 0.05"). Gemma has 6,249 special
    # tokens; an expression for all their names would take minutes to compile.
    return {token[:2] for token in tokens}


def _grammar(
    fixed: Sequence[Sequence[int]],
    budgets: Sequence[int],
    verdicts: Sequence[Sequence[int]],
    text: str,
) -> str:
    """The grammar in xgrammar's EBNF: fixed parts and verdict as tokens, section texts by
    budget.
    """
    begin, *others = map(_tokens, fixed)
    parts = (rf'section{at} "\n\n" {tokens}' for at, tokens in enumerate(others))
    sections = (
        f"section{at}[max_tokens={most}] ::= text{'' if at else ' | mark'}"
        for at, most in enumerate(budgets)
    )
    rules = [
        f"root ::= {begin} {' '.join(parts)} ({' | '.join(map(_tokens, verdicts))})",
        *sections,
        f"text ::= Regex({json.dumps(text, ensure_ascii=False)})",
        # xgrammar 0.2.8 caches compiled rules, and confuses rules that differ only in their
        # tokens. A string that depends on the tokens makes the rules differ.
        f'mark ::= "Mark {sha256(repr(fixed).encode()).hexdigest()}"',
    ]
    return "\n".join(rules)


def _tokens(ids: Iterable[int]) -> str:
    return " ".join(f"Token({token})" for token in ids)


_NEARLY = 0.95
"""Part of a budget. The model may have used more tokens for a text than encoding it again gives."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """The format that the engine enforces. ``budgets`` maps a section's field to its most
    tokens.
    """

    budgets: Mapping[str, int]
    tokenizer: Tokenizer = field(repr=False)

    def is_used_up(self, section: str, text: str, *, nearly: bool = False) -> bool:
        """Whether a section's text fills its budget, or with ``nearly`` 95 % of it."""
        budget = self.budgets.get(section)
        if budget is None:
            return False
        least = budget * _NEARLY if nearly else budget
        return len(self.tokenizer.encode(text)) >= least


def first_line(sections: Sequence[SectionSpec]) -> str:
    """The line that every constrained review begins with."""
    return f"## {sections[0].heading}\n"


def follows_format(text: str, sections: Sequence[SectionSpec]) -> bool:
    """Whether a text has exactly the template's headings, in order, and ends in a verdict line."""
    lines = text.splitlines()
    headings = [line for line in lines if line.startswith("#")]
    expected = [f"## {heading}" for heading in (*(s.heading for s in sections), VERDICT_HEADING)]
    verdicts = [f"{VERDICT_LEAD} {label}." for label in (ACCEPTANCE, REJECTION)]
    return headings == expected and lines[0] == expected[0] and lines[-1] in verdicts
