"""Cuts a paper to the prompt's budget by a stated rule, and says what was cut.

A paper that fits is left whole. Of one that does not fit, these go in, in this order, each in whole
as long as it fits:

1. title and abstract, always whole;
2. the introduction and the conclusion, each with its subsections;
3. the running text of all other sections of the body;
4. their tables, equations and figures' labels.

What comes after the first that does not fit stays out, and so do references, appendices,
acknowledgements and all else that is not body. Of that first one each section keeps its beginning
up to one common length, at a paragraph's border. What the borders leave of the budget goes to the
sections' next paragraphs, in reading order: whole ones that fit, then the beginning of one, up to
the end of a sentence where one is near. So a cut prompt uses its budget to the last hundred tokens.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from app.engine.base import Message, Tokenizer
from app.errors import InvalidRequest
from app.paper.model import Paper, Section
from app.review.sentences import sentence_ends
from app.review.template import Template

SLACK = 100
"""Most tokens of the budget that a cut prompt leaves unused."""
LEAST_BODY = 64
"""Fewer tokens than this are no room for a paper."""
_JOINT = "\n\n"
_LONGEST_TOKEN = 24
"""Characters of a token, generously: a longer beginning than this allows is not looked at."""
_NEAR = 60
"""Most tokens given up so that a cut falls on the end of a sentence."""
_ROUNDS = 8
_DEBRIS = ("table", "equation", "figure")
_CONCLUSION = re.compile(
    r"\b(conclusions?|concluding|closing remarks|summary and)\b", re.IGNORECASE
)


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

    @property
    def truncated(self) -> list[PackedSection]:
        """Those of which the model sees only the beginning, or nothing."""
        return [packed for packed in self.sections if packed.kept < packed.tokens]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A heading or a paragraph, and what it costs in tokens with the blank line before it."""

    text: str
    cost: int
    debris: bool = False


@dataclass(slots=True)
class _Draft:
    """What has been chosen of a section so far: its units by their places."""

    units: Sequence[_Unit]
    chosen: dict[int, _Unit] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        return sum(unit.cost for unit in self.chosen.values())

    def texts(self) -> Iterator[str]:
        for place in sorted(self.chosen):
            if self.chosen[place].text:
                yield self.chosen[place].text


class _Packer:
    """One paper and one tokenizer; each attempt chooses anew, by an allowance of tokens."""

    def __init__(self, sections: Sequence[Section], tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        texts = [[part.heading, *(p.text for p in part.paragraphs)] for part in sections]
        counts = iter(tokenizer.count_each([_JOINT + text for of in texts for text in of]))
        self.units = [
            [
                _Unit(text, next(counts), debris)
                for text, debris in zip(of, _debris(part), strict=True)
            ]
            for of, part in zip(texts, sections, strict=True)
        ]
        self._tiers = list(_tiers(sections))

    def whole(self) -> list[_Draft]:
        return [_Draft(units, dict(enumerate(units))) for units in self.units]

    def within(self, allowance: int) -> list[_Draft]:
        """The rule of this module, by the units' own costs."""
        drafts = [_Draft(units) for units in self.units]
        for tier in self._tiers:
            cost = sum(self.units[index][place].cost for index, places in tier for place in places)
            if cost > allowance:
                self._level(drafts, tier, allowance)
                break
            for index, places in tier:
                drafts[index].chosen.update((place, self.units[index][place]) for place in places)
            allowance -= cost
        for draft in drafts:
            if len(draft.units) > 1 and set(draft.chosen) == {0}:
                # A heading with nothing under it would only mislead.
                draft.chosen.clear()
        return drafts

    def _level(self, drafts: Sequence[_Draft], tier: _Tier, allowance: int) -> None:
        """Choose the beginnings of a tier's sections up to one common length, and fill up."""
        totals = [
            list(accumulate(self.units[index][place].cost for place in places))
            for index, places in tier
        ]

        def reached(level: int) -> list[int]:
            return [bisect_right(sums, level) for sums in totals]

        def cost(counts: Sequence[int]) -> int:
            return sum(sums[n - 1] for sums, n in zip(totals, counts, strict=True) if n)

        low, high = 0, allowance
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if cost(reached(middle)) <= allowance else (low, middle - 1)
        counts = reached(low)
        left = allowance - cost(counts)
        cut = None
        for (index, places), count in zip(tier, counts, strict=True):
            units = self.units[index]
            while count < len(places) and units[places[count]].cost <= left:
                left -= units[places[count]].cost
                count += 1
            drafts[index].chosen.update((place, units[place]) for place in places[:count])
            if cut is None and count < len(places):
                cut = index, places[count]
        if cut is not None and left > 0:
            index, place = cut
            head = self._head(self.units[index][place], left)
            if head.text:
                drafts[index].chosen[place] = head

    def _head(self, unit: _Unit, tokens: int) -> _Unit:
        """The beginning of a unit in at most ``tokens``."""
        low, high = 0, min(len(unit.text), tokens * _LONGEST_TOKEN)
        while low < high:
            middle = (low + high + 1) // 2
            fits = self._cost(unit.text[:middle]) <= tokens
            low, high = (middle, high) if fits else (low, middle - 1)
        head = unit.text[:low]
        for end in _borders(head):
            cost = self._cost(head[:end])
            if tokens - cost <= _NEAR:
                return _Unit(head[:end], cost, unit.debris)
        return _Unit(head, self._cost(head), unit.debris)

    def _cost(self, text: str) -> int:
        return self._tokenizer.count_each([_JOINT + text])[0]


_Tier = Sequence[tuple[int, Sequence[int]]]
"""Sections by their index, and of each the places of the units that belong to the tier."""


def pack(paper: Paper, tokenizer: Tokenizer, budget: int, template: Template) -> Prompt:
    """The prompt for a paper in at most ``budget`` tokens. Milliseconds of work: off the loop.

    Raises:
        InvalidRequest: the template, the title or the abstract leave no room for the paper.
    """

    def fill(title: str, abstract: str, body: str) -> tuple[tuple[Message, Message], int]:
        chat = template.messages(title, abstract, body, tokenizer.special_tokens)
        return chat, len(tokenizer.encode(tokenizer.render(chat)))

    packer = _Packer(paper.sections, tokenizer)
    drafts = packer.whole()
    chat, tokens = fill(paper.title, paper.abstract, _body(drafts))
    if tokens > budget:
        _check_room(template, budget, [fill(*parts)[1] for parts in _fixed_parts(paper)])
        _, fixed = fill(paper.title, paper.abstract, "")
        allowance, best = budget - fixed, -1
        rounds = 0
        while best < 0 or (best < budget - SLACK and rounds < _ROUNDS):
            # Counts of single paragraphs do not quite add up to that of the whole.
            attempt = packer.within(allowance)
            messages, count = fill(paper.title, paper.abstract, _body(attempt))
            if count == best:
                break  # there is nothing more to put in
            if best < count <= budget:
                chat, tokens, drafts, best = messages, count, attempt, count
            allowance += budget - count - (SLACK // 4 if count < budget else 0)
            rounds += 1
    packed = tuple(
        PackedSection(section, sum(unit.cost for unit in draft.units), draft.kept)
        for section, draft in zip(paper.sections, drafts, strict=True)
    )
    return Prompt(chat, tokens, packed)


def _body(drafts: Sequence[_Draft]) -> str:
    return _JOINT.join(text for draft in drafts for text in draft.texts())


def _fixed_parts(paper: Paper) -> Iterator[tuple[str, str, str]]:
    yield "", "", ""
    yield paper.title, "", ""
    yield paper.title, paper.abstract, ""


def _check_room(template: Template, budget: int, fixed: Sequence[int]) -> None:
    """``fixed`` are the tokens of the template, then with the title, then with the abstract."""
    most = budget - LEAST_BODY
    told = (
        ("max_tokens", f"The template {template.name!r} takes"),
        ("title", "The template and the title take"),
        ("abstract", "The template, the title and the abstract take"),
    )
    for (param, what), tokens in zip(told, fixed, strict=True):
        if tokens > most:
            raise InvalidRequest(
                f"{what} {tokens} tokens of a prompt of at most {budget}: {tokens - most} too many "
                f"to leave {LEAST_BODY} for the paper.",
                param=param,
                code="prompt_too_long",
            )


def _debris(section: Section) -> list[bool]:
    return [False, *(paragraph.kind in _DEBRIS for paragraph in section.paragraphs)]


def _tiers(sections: Sequence[Section]) -> Iterator[_Tier]:
    """What goes in first, second and third."""
    body = [index for index, part in enumerate(sections) if part.kind == "body" and part.paragraphs]
    if not body:
        yield [(index, range(1 + len(part.paragraphs))) for index, part in enumerate(sections)]
        return
    body = [index for index, part in enumerate(sections) if part.kind == "body"]
    edges = _edges(sections, body)
    yield [(index, range(1 + len(sections[index].paragraphs))) for index in sorted(edges)]
    for wanted in (False, True):
        yield [
            (index, [place for place, of in enumerate(_debris(sections[index])) if of is wanted])
            for index in body
            if index not in edges
        ]


def _edges(sections: Sequence[Section], body: Sequence[int]) -> set[int]:
    """The introduction and the conclusion, each with its subsections.

    The introduction is the first section. The conclusion is the last one that is named so, since
    limitations and statements may follow it; the last one where none is.
    """
    tops = [index for index in body if sections[index].level == 1 and sections[index].heading]
    if len(tops) <= 1:
        return {*body[:1], *body[-1:]}
    named = [index for index in tops[1:] if _CONCLUSION.search(sections[index].heading)]
    conclusion = (named or tops)[-1]
    after = next((index for index in tops if index > conclusion), len(sections))
    return {index for index in body if index < tops[1] or conclusion <= index < after}


def _borders(text: str) -> Iterator[int]:
    """Where a text may end: after its last sentence, or else its last word."""
    *_, last = (0, *sentence_ends(text))
    if last:
        yield last
    yield max(text.rfind(" "), 0)
