"""Cuts a paper to the prompt's budget by a stated rule, and says what was cut.

The rule, in this order, until the prompt fits:

1. Appendices, references and all else that is not body go, last one first.
2. The longest of the sections between the first and the last lose their tails, paragraph by
   paragraph, down to one common length. Only a paragraph of over 256 tokens is cut inside, at the
   end of a sentence or of a word where it has any.
3. The first and the last section (introduction and conclusion), each with its subsections, lose
   their tails likewise.

Title and abstract are never touched. A paper that fits is left whole.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from app.engine.base import Message, Tokenizer
from app.errors import InvalidRequest
from app.paper.model import Paper, Section
from app.review import template

_JOINT = 2
"""Tokens that a paragraph may gain by being joined to others: a blank line, a merge undone."""
_DIVISIBLE = 256
"""Tokens above which a paragraph may be cut inside."""


@dataclass(frozen=True, slots=True)
class PackedSection:
    """What the model sees of a section: ``kept`` of its ``tokens``."""

    section: Section
    tokens: int
    kept: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that fits. ``tokens`` counts the rendered chat, its template included."""

    messages: tuple[Message, Message]
    tokens: int
    sections: tuple[PackedSection, ...]


class _Draft:
    """The paragraphs that are left of each section, its heading first, and what they cost."""

    def __init__(self, sections: Sequence[Section], tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.kinds = [section.kind for section in sections]
        self.levels = [section.level for section in sections]
        self.headings = [section.heading for section in sections]
        self._texts = [
            [section.heading, *(paragraph.text for paragraph in section.paragraphs)]
            for section in sections
        ]
        counts = iter(tokenizer.count_each([text for texts in self._texts for text in texts]))
        self._costs = [[next(counts) + _JOINT for _ in texts] for texts in self._texts]

    def lengths(self) -> list[int]:
        return [sum(costs) for costs in self._costs]

    def text(self) -> str:
        return "\n\n".join(text for texts in self._texts for text in texts if text)

    def drop_back_matter(self, excess: int) -> int:
        """Drop what is not body, last section first, until all fits; returns what is still over."""
        for index in reversed(range(len(self.kinds))):
            if excess <= 0:
                break
            if self.kinds[index] != "body":
                excess -= sum(self._costs[index])
                self._texts[index].clear()
                self._costs[index].clear()
        return excess

    def shorten(self, indices: Sequence[int], excess: int) -> int:
        """Cut the tail of the longest of ``indices`` until all fits; returns what is still over."""
        # A heap, because a hostile paper may have a hundred thousand sections.
        longest = [(-sum(self._costs[index]), index) for index in indices]
        heapq.heapify(longest)
        while excess > 0 and longest:
            length, index = longest[0]
            saved = self._cut_tail(index, excess) if self._costs[index] else 0
            excess -= saved
            if self._costs[index]:
                heapq.heapreplace(longest, (length + saved, index))
            else:
                heapq.heappop(longest)
        return excess

    def _cut_tail(self, index: int, excess: int) -> int:
        """Shorten or drop the section's last paragraph; returns the tokens saved."""
        texts, costs = self._texts[index], self._costs[index]
        text, cost = texts.pop(), costs.pop()
        if cost > max(_DIVISIBLE, excess):
            kept = _head(text, share=1 - excess / cost)
            if kept:
                texts.append(kept)
                costs.append(self._tokenizer.count_each([kept])[0] + _JOINT)
                return cost - costs[-1]
        if len(texts) == 1:
            # A heading with nothing under it would only mislead.
            texts.clear()
            cost += costs.pop()
        return cost


def _head(text: str, share: float) -> str:
    """The first ``share`` of a text, up to the end of a sentence or else of a word.

    Text without either in its second half (Chinese, or no text at all) is cut where the share ends.
    """
    head = text[: int(len(text) * share)]
    borders = (head.rfind(". ") + 1, head.rfind(" "))
    end = next((border for border in borders if border > len(head) / 2), len(head))
    return head[:end].rstrip()


def pack(paper: Paper, tokenizer: Tokenizer, budget: int) -> Prompt:
    """The prompt for a paper in at most ``budget`` tokens. Milliseconds of work: off the loop.

    Raises:
        InvalidRequest: title and abstract alone do not fit.
    """

    def filled(body: str) -> tuple[tuple[Message, Message], int]:
        chat = template.messages(paper.title, paper.abstract, body, tokenizer.special_tokens)
        return chat, len(tokenizer.encode(tokenizer.render(chat)))

    draft = _Draft(paper.sections, tokenizer)
    whole = draft.lengths()
    chat, tokens = filled(draft.text())
    allowance = budget
    while tokens > budget:
        _, fixed = filled("")
        if fixed >= budget:
            raise InvalidRequest(
                f"The title and the abstract leave no room for the paper: they take {fixed} tokens "
                f"of {budget}.",
                param="abstract",
                code="prompt_too_long",
            )
        # Counts of single paragraphs do not quite add up to that of the whole, so what it is still
        # over by is taken off the next round's budget.
        _shrink(draft, sum(draft.lengths()) - (allowance - fixed))
        chat, tokens = filled(draft.text())
        allowance -= max(tokens - budget, 1)
    packed = tuple(
        PackedSection(section, all_of_it, kept)
        for section, all_of_it, kept in zip(paper.sections, whole, draft.lengths(), strict=True)
    )
    return Prompt(chat, tokens, packed)


def _shrink(draft: _Draft, excess: int) -> None:
    excess = draft.drop_back_matter(excess)
    edges = _edges(draft)
    middle = [i for i, kind in enumerate(draft.kinds) if kind == "body" and i not in edges]
    excess = draft.shorten(middle, excess)
    draft.shorten(sorted(edges), excess)


def _edges(draft: _Draft) -> set[int]:
    """The introduction and the conclusion, each with its subsections."""
    body = [index for index, kind in enumerate(draft.kinds) if kind == "body"]
    tops = [index for index in body if draft.levels[index] == 1 and draft.headings[index]]
    if len(tops) <= 1:
        return {*body[:1], *body[-1:]}
    return {index for index in body if index < tops[1] or index >= tops[-1]}
