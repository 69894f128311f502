"""The structural tag that holds a review to its sections and its verdict line.

A sequence of fixed headings and free text of bounded length: the bounds guarantee that the verdict
comes before the tokens run out. xgrammar enforces it, in vLLM and elsewhere.

The fixed parts are spelled as tokens, not as strings: held to a string, a model may write it letter
by letter, and after a few such letters it does so to the end. That runs out of tokens before the
verdict, and moves the verdict itself (seen on SmolLM2: REJECTION at 0.89 came out as ACCEPTANCE).
Only the blank line before a heading is a string. As a token it could belong to the text before it
as well, and on such a token xgrammar 0.2.8 loses its way: it allows nothing after it.

The free text is an expression, not xgrammar's ``any_text``, which lets a text end in the middle of
a character and lets special tokens in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from app.engine.base import Tokenizer
from app.errors import InvalidRequest
from app.review.avoiding import text_without
from app.review.labels import verdict_labels
from app.review.template import VERDICT_HEADING, VERDICT_LEAD, SectionSpec, Template

_LEAST_PER_SECTION = 16
_LETTER = "[A-Za-z\u00c0-\u024f]"
_FIRST_WORD = f"[ \"'(*_]{{0,4}}{_LETTER}[ './-]?{_LETTER}"
"""How a section begins, in two letters: left to itself, a small model leaves every fiftieth review
one empty, and of five hundred that may begin with a digit one holds a list's number and no more."""
_NO_TEXT = ("#", "mend this paper")
"""No heading and no verdict ("I recommend this paper for ...") but ours."""
_AFTER_TEXT = 5
"""Tokens to end a text's last character, past its budget, and for a blank line's two characters."""
_END_OF_TURN = 1
_ENDING = f"## {VERDICT_HEADING}\n{VERDICT_LEAD}"


def review_structure(tokenizer: Tokenizer, template: Template, max_tokens: int) -> dict[str, Any]:
    """The structural tag for a review of at most ``max_tokens``.

    Raises:
        InvalidRequest: the sections would be left without room.
    """
    budgets = section_budgets(tokenizer, template, max_tokens)
    labels = verdict_labels(tokenizer)
    fixed = [*map(_heading, template.sections), _ENDING]
    grammar = _grammar(
        [tokenizer.encode(part) for part in fixed],
        list(budgets.values()),
        (labels.accept, labels.reject),
        _FIRST_WORD + text_without([*_NO_TEXT, *_special(tokenizer.special_tokens)]),
    )
    return {"type": "structural_tag", "format": {"type": "grammar", "grammar": grammar}}


def section_budgets(tokenizer: Tokenizer, template: Template, max_tokens: int) -> dict[str, int]:
    """The most tokens of each section, by its field; a last character may take a few more.

    Raises:
        InvalidRequest: the sections would be left without room.
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
    # The space after the mark belongs to the first word's token.
    return f"## {spec.heading}\n{'-' if spec.bullets else ''}"


def _special(tokens: Iterable[str]) -> set[str]:
    # Two characters tell them from text ("<|", "<e", but not "p < 0.05"): Gemma has 6,249 of them,
    # and an expression for all of their names would take minutes to compile.
    return {token[:2] for token in tokens}


def _grammar(
    fixed: Sequence[Sequence[int]],
    budgets: Sequence[int],
    verdicts: Sequence[Sequence[int]],
    text: str,
) -> str:
    """In xgrammar's EBNF: the fixed parts and the verdict as tokens, a section's text by budget."""
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
        # xgrammar 0.2.8 keeps what it compiled, and takes a rule for another that has other tokens
        # in the same places. So the tokens come into the grammar once more: as a text like others.
        f'mark ::= "Mark {sha256(repr(fixed).encode()).hexdigest()}"',
    ]
    return "\n".join(rules)


def _tokens(ids: Iterable[int]) -> str:
    return " ".join(f"Token({token})" for token in ids)
