"""Looks up what a point of a review names: labels, numbers, names, citations and quotations.

"Not found in the paper" does not mean "false": a reviewer may refer to other work, round a number
or add two up, and text in images can't be read. "Found" does not mean "true": the paper contains
the same number or name somewhere, its references included. Signs of numbers are not compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from app.paper.model import Paper

_LONGEST_POINT = 4_000
"""Characters of a point that are examined; bounds the time that an overlong text takes."""
_GENERIC = frozenset(
    "sota llm gpu cpu tpu nlp ml ai rl cv dl dnn cnn rnn mlp gan api pdf url nlu nlg ood iid pca "  # noqa: SIM905
    "sgd qa ui usa arxiv github latex top type state".split()
)
"""Common terms of the field, in lower case. They are not claims about the paper."""
_ROMAN = {"I": 1, "V": 5, "X": 10}
_SCALES = {"k": 3, "thousand": 3, "m": 6, "million": 6, "b": 9, "billion": 9}
_TYPOGRAPHY = str.maketrans("−–—‐‑“”„‘’`", "-----\"\"\"'''")
_THIN_SPACE = re.compile(r"(?<=\d)(?:[\u2009\u202f\u00a0]|\{,\}|\\,)(?=\d{3}(?!\d))")

# Every repetition is bounded, or followed by a character that it can't match: matching takes
# linear time on any text.
_KINDS = {
    "table": "tab(?:le|\\.)?",
    "figure": "fig(?:ure|\\.)?",
    "section": "sec(?:tion|\\.)?|§",
    "equation": "eq(?:uation|n?\\.)?",
    "theorem": "theorem|thm\\.",
    "lemma": "lemma",
    "proposition": "proposition|prop\\.",
    "corollary": "corollary",
    "definition": "definition",
    "algorithm": "algorithm|alg\\.",
    "appendix": "app(?:endix|\\.)",
}
_NUMBER = r"\d{1,3}(?:\.\d{1,2}){0,3}"
_ITEM = rf"\(?(?:{_NUMBER}|[IVX]{{1,6}}\b|[A-Z](?:\.?\d{{1,2}}){{0,2}}\b)(?:[a-h]\b)?\)?"
_WORDS = "|".join(f"(?P<{kind}>(?i:{word}))" for kind, word in _KINDS.items())
_LABEL = re.compile(
    rf"(?<![^\W_])(?:{_WORDS})(?i:s|es)?\.? {{0,2}}"
    rf"(?P<first>{_ITEM})(?P<more>(?:(?:, ?| ?and | ?& ?| ?- ?){_ITEM}){{0,6}})"
)
_ITEMS = re.compile(_ITEM)
_HEADING = re.compile(
    rf"(?P<number>{_NUMBER}|[IVX]{{1,6}}(?=\.)|"
    r"[A-Z](?:\.\d{1,2}){0,3}(?=[.: ]))"
)
_AUTHORS = re.compile(
    r"(?<!\w)(?P<name>[A-Z][\w'-]{1,30})(?: et al\.?,?| (?:and|&) [A-Z][\w'-]{1,30},?|,)? "
    r"?\(?(?P<year>(?:19|20)\d\d)[a-z]?\b\)?"
)
_BRACKETS = re.compile(r"\[(?P<numbers>\d{1,3}(?: ?[,;-] ?\d{1,3}){0,20})\]")
_QUOTED = re.compile(r"\"(?P<double>[^\"\n]{4,400})\"|(?<!\w)'(?P<single>[^'\n]{8,400})'(?!\w)")
_NAME = re.compile(r"(?<![\w-])[A-Za-z][A-Za-z0-9]{0,40}(?:-[A-Za-z0-9]{1,40}){0,4}")
_NUMERAL = re.compile(
    r"(?<![\w.])(?P<digits>\d{1,3}(?:,\d{3}){1,5}(?!\d)(?:\.\d{1,15})?|\d{1,18}(?:\.\d{1,15})?)"
    r"(?: ?(?P<unit>%|percent\b|[x×](?!\w)|thousand\b|million\b|billion\b|[kKMB](?!\w)))?"
    r"(?![\w]|\.\d)"
)
_ANY_NUMERAL = re.compile(
    r"(?P<digits>\d{1,3}(?:,\d{3}){1,5}(?!\d)(?:\.\d{1,15})?|\d{1,18}(?:\.\d{1,15})?|\.\d{1,15})"
    r"(?: ?(?P<unit>thousand|million|billion|[kKMB](?!\w)))?"
)
_PIECE = re.compile(r"[^\W\d_]+|\d+")
_LONG_ENOUGH = 6
"""Letters that a name must have to be searched for inside other words."""
_YEAR_WITHIN = 400
"""Most characters from an author's name to the year, in a citation or a reference."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A claim of a point: its ``text``, from ``start`` to ``end``; ``found`` in the paper or
    not.
    """

    start: int
    end: int
    text: str
    found: bool


class ClaimChecker:
    """An index of one paper, for looking up the claims of points about it."""

    def __init__(self, paper: Paper) -> None:
        text = normalised(_whole(paper))
        self._text = text.lower()
        self._words = f" {' '.join(_PIECE.findall(self._text))} "
        self._squeezed = self._words.replace(" ", "")
        self._numbers = set(_values(text))
        self._labels = _labels(text, paper)
        self._references = {n for match in _BRACKETS.finditer(text) for n in _listed(match)}
        self._numbered_by_hand = paper.pages > 0

    def unsupported(self, point: str) -> tuple[str, ...]:
        """The claims of the point that are not found in the paper, as written and in order."""
        text = normalised(point[:_LONGEST_POINT])
        readers: tuple[Callable[[str], Iterator[_Claim]], ...] = (
            self._quotes,
            self._citations,
            self._label_claims,
            self._names,
            self._number_claims,
        )
        missing: list[_Claim] = []
        for reader in readers:
            claims = list(reader(text))
            missing += (claim for claim in claims if not claim.found)
            text = _blanked(text, claims)
        missing.sort(key=lambda claim: claim.start)
        return tuple(dict.fromkeys(claim.text for claim in missing))

    def _quotes(self, text: str) -> Iterator[_Claim]:
        for match in _QUOTED.finditer(text):
            quote = match["double"] or match["single"]
            if len(quote.split()) < 2:
                continue  # One word is not a quotation; names are looked up in _names.
            parts = (_squeezed(part) for part in re.split(r"\.{3}|…|\[[^\]]{0,40}\]", quote))
            found = all(part in self._squeezed for part in parts)
            yield _Claim(*match.span(), match[0].strip("\"'"), found)

    def _citations(self, text: str) -> Iterator[_Claim]:
        for match in _AUTHORS.finditer(text):
            if "al" in match[0] or "(" in match[0] or " and " in match[0] or "," in match[0]:
                yield _Claim(*match.span(), match[0], self._cites(match["name"], match["year"]))
        for match in _BRACKETS.finditer(text):
            yield _Claim(*match.span(), match[0], self._references.issuperset(_listed(match)))

    def _cites(self, name: str, year: str) -> bool:
        author = re.escape(name.lower().removesuffix("'s"))
        places = re.finditer(rf"(?<!\w){author}(?!\w)", self._text)
        return any(year in self._text[place.end() : place.end() + _YEAR_WITHIN] for place in places)

    def _label_claims(self, text: str) -> Iterator[_Claim]:
        for match in _LABEL.finditer(text):
            kind = str(match.lastgroup and _kind(match))
            if _is_article(kind, match["first"]):
                continue
            known = self._labels[kind]
            checked = known or self._numbered_by_hand
            end = match.end("first")
            whole = text[match.start() : end]
            yield _Claim(match.start(), end, whole, not checked or _key(match["first"]) in known)
            for item in _ITEMS.finditer(text, *match.span("more")):
                name = f"{kind.capitalize()} {item[0]}"
                yield _Claim(*item.span(), name, not checked or _key(item[0]) in known)

    def _names(self, text: str) -> Iterator[_Claim]:
        for match in _NAME.finditer(text):
            parts = match[0].split("-")
            while len(parts) > 1 and parts[-1].islower():
                parts.pop()  # "BERT-based" names BERT.
            name = "-".join(parts)
            if _is_name(name):
                yield _Claim(match.start(), match.start() + len(name), name, self._has_name(name))

    def _has_name(self, name: str) -> bool:
        lower = name.lower()
        pieces = " ".join(_PIECE.findall(lower))
        if _generic(lower) or f" {pieces} " in self._words or self._has_singular(pieces):
            return True
        long_enough = sum(map(str.isalpha, lower)) >= _LONG_ENOUGH and not lower[-1].isdigit()
        if long_enough and _squeezed(lower).removesuffix("s") in self._squeezed:
            return True
        parts = name.split("-")
        apart = len(parts) > 1 and all(len(part) > 1 and part.isalpha() for part in parts)
        return apart and all(self._has_name(part) for part in parts)

    def _has_singular(self, pieces: str) -> bool:
        return f" {pieces}s " in self._words or (
            pieces.endswith("s") and f" {pieces[:-1]} " in self._words
        )

    def _number_claims(self, text: str) -> Iterator[_Claim]:
        for match in _NUMERAL.finditer(text):
            digits, unit = match["digits"], match["unit"]
            if unit or not digits.isdigit() or len(digits) >= 3:
                found = not self._numbers.isdisjoint(_meanings(digits, unit))
                yield _Claim(*match.span(), match[0], found)


def normalised(text: str) -> str:
    """The text with single spaces, and one kind of dash, quotation mark, thousands separator."""
    text = _THIN_SPACE.sub(",", text)
    text = unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY)
    return " ".join(text.split())


def _squeezed(text: str) -> str:
    return "".join(_PIECE.findall(text.lower()))


def _blanked(text: str, claims: list[_Claim]) -> str:
    """The text with each claim replaced by spaces, so that no claim is read twice."""
    for claim in claims:
        text = text[: claim.start] + " " * (claim.end - claim.start) + text[claim.end :]
    return text


def _whole(paper: Paper) -> str:
    parts = [paper.title, paper.abstract]
    for section in paper.sections:
        parts += (section.heading, *(paragraph.text for paragraph in section.paragraphs))
    return "\n".join(parts)


def _generic(lower: str) -> bool:
    return lower in _GENERIC or lower.removesuffix("s") in _GENERIC


def _is_name(word: str) -> bool:
    """Whether a word is CamelCase, an acronym of three letters, or like GPT-4."""
    if len(word) < 3 or ("-" not in word and _generic(word.lower())):
        return False
    return bool(
        re.search(r"[a-z][A-Z]|[A-Z]{3}|[A-Z]{2}[a-z]{2}", word)
        or (re.search(r"\d", word) and re.match(r"[A-Za-z]{2}", word) and word != word.lower())
    )


def _kind(match: re.Match[str]) -> str:
    return next(kind for kind in _KINDS if match[kind])


def _is_article(kind: str, item: str) -> bool:
    """Whether A or I may be a word and not a label: "In this section I ..."."""
    return kind != "appendix" and item in ("A", "I")


def _key(item: str) -> str:
    """``(12)``, ``12a`` and ``XII`` as ``12``."""
    bare = item.strip("()").rstrip(".")
    if len(bare) > 1 and bare[-1] in "abcdefgh":
        bare = bare[:-1]
    if bare and all(char in _ROMAN for char in bare) and bare != "I":
        values = [_ROMAN[char] for char in bare]
        return str(sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True)))
    return bare


def _with_parents(key: str) -> Iterator[str]:
    """A label and those above it: 4, 4.2, 4.2.1; A and A.1 for A.1 or A1."""
    parts = re.findall(r"[A-Z]|\d+", key)
    joined = parts[0] if parts else ""
    yield joined
    for part in parts[1:]:
        joined += f".{part}"
        yield joined
    yield key


def labels_in(text: str) -> Iterator[tuple[str, str]]:
    """The labels in a text by kind and number: ("table", "3"), ("table", "4") for "Tables 3, 4"."""
    for match in _LABEL.finditer(text):
        for item in (match["first"], *_ITEMS.findall(match["more"])):
            yield _kind(match), _key(item)


def _labels(text: str, paper: Paper) -> dict[str, set[str]]:
    """The labels of each kind that the paper contains or refers to."""
    labels: dict[str, set[str]] = {kind: set() for kind in _KINDS}
    for kind, key in labels_in(text):
        labels[kind].update(_with_parents(key))
    labels["equation"].update(re.findall(r"\(([A-Z]?\.?\d{1,3}(?:\.\d{1,2})?)\)", text))
    for section in paper.sections:
        heading = _HEADING.match(normalised(section.heading))
        if heading:
            labels["section"].update(_with_parents(_key(heading["number"])))
    letters = {key for key in labels["section"] if key[:1].isalpha()}
    labels["appendix"] |= letters
    labels["section"] |= labels["appendix"]
    tops = [int(key) for key in labels["section"] if key.isdigit()]
    # If extraction missed a heading, its section must not count as invented.
    labels["section"].update(str(number) for number in range(1, max(tops, default=0) + 1))
    return labels


def _listed(match: re.Match[str]) -> set[int]:
    """The numbers in brackets, with ranges expanded: 3, 5, 6, 7 for "3, 5-7"."""
    numbers: set[int] = set()
    for part in re.split(r" ?[,;] ?", match["numbers"]):
        ends = [int(end) for end in part.split("-")]
        numbers.update(range(ends[0], ends[-1] + 1), ends)
    return numbers


def _values(text: str) -> Iterator[Decimal]:
    for match in _ANY_NUMERAL.finditer(text):
        yield from _meanings(match["digits"], match["unit"])


def _meanings(digits: str, unit: str | None) -> Iterator[Decimal]:
    """The values that a numeral may mean: 12.5 and 0.125 for 12.5%; 2.5 billion for 2.5B."""
    value = Decimal(digits.replace(",", "")).normalize()
    scale = _SCALES.get((unit or "").lower())
    yield value if scale is None else value.scaleb(scale).normalize()
    if unit in ("%", "percent"):
        yield value.scaleb(-2).normalize()
