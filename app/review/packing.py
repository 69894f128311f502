"""Truncates a paper to the prompt's token budget by a fixed rule, and records what was dropped.

A paper that fits is not changed. Otherwise it is filled in tiers, in this order:

1. title and abstract, always whole;
2. the introduction and the conclusion, each with its subsections;
3. the running text of all other sections of the body;
4. their tables, equations and figure labels.

References, appendices, acknowledgements and everything else that is not body are left out. The
first tier that does not fit is shortened, and the tiers after it are left out: each of its sections
keeps whole paragraphs from its beginning, up to a length that is the same for all. What then
remains of the budget goes to the sections' next paragraphs in reading order: whole paragraphs that
fit, then the beginning of one, cut at the end of a sentence if one is near. A truncated prompt
leaves at most a hundred tokens of its budget unused.
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
from app.paper.sentences import sentence_ends
from app.review.template import Template

SLACK = 100
"""Most tokens of the budget that a truncated prompt leaves unused."""
LEAST_BODY = 64
"""Least tokens that the template, title and abstract must leave for the body."""
_JOINT = "\n\n"
_LONGEST_TOKEN = 24
"""Upper bound on the characters of a token: limits the search for a paragraph's beginning."""
_NEAR = 60
"""Most tokens left unused so that a cut falls on the end of a sentence."""
_ROUNDS = 8
_NON_PROSE = ("table", "equation", "figure")
_CONCLUSION = re.compile(
    r"\b(conclusions?|concluding|closing remarks|summary and)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class PackedSection:
    """A section of which the prompt contains ``kept`` of its ``tokens``."""

    section: Section
    tokens: int
    kept: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt within its budget. ``tokens`` counts the rendered chat, chat template included."""

    messages: tuple[Message, Message]
    tokens: int
    sections: tuple[PackedSection, ...]

    @property
    def truncated(self) -> list[PackedSection]:
        """The sections that are not in the prompt, or only in part."""
        return [packed for packed in self.sections if packed.kept < packed.tokens]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A heading or a paragraph. ``cost`` is its tokens, with the blank line before it."""

    text: str
    cost: int
    prose: bool = True


@dataclass(slots=True)
class _Selection:
    """The units chosen from one section, by their index in ``units``."""

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
    """Chooses units of one paper; each call starts anew with an allowance of tokens."""

    def __init__(self, sections: Sequence[Section], tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        texts = [[part.heading, *(p.text for p in part.paragraphs)] for part in sections]
        counts = iter(tokenizer.count_each([_JOINT + text for of in texts for text in of]))
        self.units = [
            [
                _Unit(text, next(counts), prose)
                for text, prose in zip(of, _is_prose(part), strict=True)
            ]
            for of, part in zip(texts, sections, strict=True)
        ]
        self._tiers = list(_tiers(sections))

    def whole(self) -> list[_Selection]:
        return [_Selection(units, dict(enumerate(units))) for units in self.units]

    def within(self, allowance: int) -> list[_Selection]:
        """Choose units of at most ``allowance`` tokens by the rule of this module."""
        selections = [_Selection(units) for units in self.units]
        for tier in self._tiers:
            cost = sum(self.units[index][place].cost for index, places in tier for place in places)
            if cost > allowance:
                self._shorten(selections, tier, allowance)
                break
            for index, places in tier:
                chosen = ((place, self.units[index][place]) for place in places)
                selections[index].chosen.update(chosen)
            allowance -= cost
        for selection in selections:
            if len(selection.units) > 1 and set(selection.chosen) == {0}:
                # A heading without its text would mislead the model.
                selection.chosen.clear()
        return selections

    def _shorten(self, selections: Sequence[_Selection], tier: _Tier, allowance: int) -> None:
        """Choose the beginnings of a tier's sections, of one common length, and fill up."""
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
            selections[index].chosen.update((place, units[place]) for place in places[:count])
            if cut is None and count < len(places):
                cut = index, places[count]
        if cut is not None and left > 0:
            index, place = cut
            head = self._head(self.units[index][place], left)
            if head.text:
                selections[index].chosen[place] = head

    def _head(self, unit: _Unit, tokens: int) -> _Unit:
        """The longest beginning of a unit that has at most ``tokens``, cut at a good place."""
        low, high = 0, min(len(unit.text), tokens * _LONGEST_TOKEN)
        while low < high:
            middle = (low + high + 1) // 2
            fits = self._cost(unit.text[:middle]) <= tokens
            low, high = (middle, high) if fits else (low, middle - 1)
        head = unit.text[:low]
        for end in _borders(head):
            cost = self._cost(head[:end])
            if tokens - cost <= _NEAR:
                return _Unit(head[:end], cost, unit.prose)
        return _Unit(head, self._cost(head), unit.prose)

    def _cost(self, text: str) -> int:
        return self._tokenizer.count_each([_JOINT + text])[0]


_Tier = Sequence[tuple[int, Sequence[int]]]
"""Pairs of a section's index and the indexes of its units that belong to the tier."""


def pack(paper: Paper, tokenizer: Tokenizer, budget: int, template: Template) -> Prompt:
    """The prompt for a paper, of at most ``budget`` tokens.

    Takes milliseconds to seconds of CPU: call it in a thread.

    Raises:
        InvalidRequest: the template, the title or the abstract leave no room for the paper.
    """

    def fill(title: str, abstract: str, body: str) -> tuple[tuple[Message, Message], int]:
        chat = template.messages(title, abstract, body, tokenizer.special_tokens)
        return chat, len(tokenizer.encode(tokenizer.render(chat)))

    packer = _Packer(paper.sections, tokenizer)
    selections = packer.whole()
    chat, tokens = fill(paper.title, paper.abstract, _body(selections))
    if tokens > budget:
        _check_room(template, budget, [fill(*parts)[1] for parts in _fixed_parts(paper)])
        _, fixed = fill(paper.title, paper.abstract, "")
        allowance, best = budget - fixed, -1
        rounds = 0
        while best < 0 or (best < budget - SLACK and rounds < _ROUNDS):
            # The tokens of the whole differ slightly from the sum over its paragraphs.
            attempt = packer.within(allowance)
            messages, count = fill(paper.title, paper.abstract, _body(attempt))
            if count == best:
                break  # the larger allowance added nothing
            if best < count <= budget:
                chat, tokens, selections, best = messages, count, attempt, count
            allowance += budget - count - (SLACK // 4 if count < budget else 0)
            rounds += 1
    packed = tuple(
        PackedSection(section, sum(unit.cost for unit in selection.units), selection.kept)
        for section, selection in zip(paper.sections, selections, strict=True)
    )
    return Prompt(chat, tokens, packed)


def _body(selections: Sequence[_Selection]) -> str:
    return _JOINT.join(text for selection in selections for text in selection.texts())


def _fixed_parts(paper: Paper) -> Iterator[tuple[str, str, str]]:
    yield "", "", ""
    yield paper.title, "", ""
    yield paper.title, paper.abstract, ""


def _check_room(template: Template, budget: int, fixed: Sequence[int]) -> None:
    """Check the tokens of the template alone, with the title, and with title and abstract."""
    most = budget - LEAST_BODY
    parts = (
        ("max_tokens", f"The template {template.name!r} takes"),
        ("title", "The template and the title take"),
        ("abstract", "The template, the title and the abstract take"),
    )
    for (param, what), tokens in zip(parts, fixed, strict=True):
        if tokens > most:
            raise InvalidRequest(
                f"{what} {tokens} tokens of a prompt of at most {budget}: {tokens - most} too many "
                f"to leave {LEAST_BODY} for the paper.",
                param=param,
                code="prompt_too_long",
            )


def _is_prose(section: Section) -> list[bool]:
    """For a section's heading and each of its paragraphs."""
    return [True, *(paragraph.kind not in _NON_PROSE for paragraph in section.paragraphs)]


def _tiers(sections: Sequence[Section]) -> Iterator[_Tier]:
    """The tiers in the order in which they are filled: points 2, 3 and 4 of this module's rule."""
    body = [index for index, part in enumerate(sections) if part.kind == "body" and part.paragraphs]
    if not body:
        yield [(index, range(1 + len(part.paragraphs))) for index, part in enumerate(sections)]
        return
    body = [index for index, part in enumerate(sections) if part.kind == "body"]
    edges = _edges(sections, body)
    yield [(index, range(1 + len(sections[index].paragraphs))) for index in sorted(edges)]
    for wanted in (True, False):
        yield [
            (index, [place for place, of in enumerate(_is_prose(sections[index])) if of is wanted])
            for index in body
            if index not in edges
        ]


def _edges(sections: Sequence[Section], body: Sequence[int]) -> set[int]:
    """The introduction and the conclusion, each with its subsections.

    The introduction is the first section. The conclusion is the last section with such a heading
    (limitations and statements may follow it), or else the last section.
    """
    tops = [index for index in body if sections[index].level == 1 and sections[index].heading]
    if len(tops) <= 1:
        return {*body[:1], *body[-1:]}
    named = [index for index in tops[1:] if _CONCLUSION.search(sections[index].heading)]
    conclusion = (named or tops)[-1]
    after = next((index for index in tops if index > conclusion), len(sections))
    return {index for index in body if index < tops[1] or conclusion <= index < after}


def _borders(text: str) -> Iterator[int]:
    """Offsets at which a text may be cut: after its last whole sentence, then its last word."""
    *_, last = (0, *sentence_ends(text))
    if last:
        yield last
    yield max(text.rfind(" "), 0)
