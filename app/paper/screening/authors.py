"""Who wrote a paper, by its front matter, and where its own text names them further on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from app.paper.model import Paper, Section
from app.paper.screening.edits import Cut
from app.paper.screening.identity import ADDRESS, EMAIL, KEYWORDS, PERSON, is_sentence, listed

AUTHOR = "[author]"
"""What stands in the text where one of the authors was named."""
LINK = "[link]"
"""What stands in the text where a link did that may name people."""

_WORD = re.compile(r"[^\W\d_]+")
_NAME = re.compile(r"[^\W\d_][\w'’-]{3,}")
"""A word that can be a surname; shorter ones are too often something else."""
_ALIKE = 5
"""Letters that a name and an address have in common, where the address cuts the name short."""
_CITED = re.compile(
    r",? (et al\b|\(?(19|20)\d\d|and [A-Z]|& )|[’']s\b|\s?[\[(]|, [A-Z]|[,;]? ?(19|20)\d\d"
)
"""Follows a surname that is cited, not named."""
_SHARED_HOSTS = frozenset(
    (
        *("gmail", "googlemail", "yahoo", "hotmail", "outlook", "live", "qq", "163", "126"),
        *("protonmail", "icloud", "foxmail", "aol"),
    )
)
_SECOND_LEVEL = frozenset(["ac", "edu", "co", "com", "org", "gov", "go", "or", "ne"])


class Authors:
    """The names of a paper's authors, and the hosts of their e-mail addresses."""

    def __init__(self, paper: Paper, front: Iterable[Section]) -> None:
        """``front``: the paper's front matter."""
        text = "\n".join(_texts(front))
        addresses = [match[0] for match in EMAIL.finditer(text)]
        boxes = [_plain(address.split("@")[0]) for address in addresses]
        names = {name for line in text.split("\n") for name in _names_of(line, boxes)}
        surnames = {name.split()[-1] for name in names} | {
            word for word in _NAME.findall(text) if _is_confirmed(word, boxes)
        }
        said = "\n".join([paper.title, paper.abstract, *(s.text for s in paper.sections)])
        words = set(_WORD.findall(EMAIL.sub("", said)))
        own = paper.title + paper.abstract
        self._names = _any_of(name for name in names if _is_own(name, words, own))
        self._surnames = _any_of(
            name for name in surnames if _NAME.fullmatch(name) and _is_own(name, words, own)
        )
        self._hosts = _pages_on({_host(address.split("@")[1]) for address in addresses} - {""})

    def cuts(self, text: str) -> Iterator[tuple[str, Cut]]:
        """Where a text names them outside of citations, and the kind of what is told there."""
        for match in self._names.finditer(text) if self._names else ():
            yield "authors", (*match.span(), AUTHOR)
        for match in self._surnames.finditer(text) if self._surnames else ():
            if not _CITED.match(text, match.end()):
                yield "authors", (*match.span(), AUTHOR)
        for match in self._hosts.finditer(text) if self._hosts else ():
            yield "code_links", (*match.span(), LINK)


def _texts(front: Iterable[Section]) -> Iterator[str]:
    for paragraph in (paragraph for section in front for paragraph in section.paragraphs):
        keywords = KEYWORDS.search(paragraph.text)
        yield paragraph.text[: keywords.start() if keywords else None]


def _names_of(line: str, boxes: list[str]) -> Iterator[str]:
    """The full names, of two words or more, that a line of a front matter lists.

    Where addresses follow on the line, the names before them, if an e-mail address confirms one:
    cities and faculties read like names too.
    """
    if is_sentence(line):
        return
    pieces = listed(line)
    if ADDRESS.search(line):
        first = next((at for at, piece in enumerate(pieces) if ADDRESS.search(piece)), 0)
        pieces = pieces[:first]
        if not any(_is_confirmed(word, boxes) for piece in pieces for word in piece.split()):
            return
    for piece in pieces:
        if " " in piece and not piece.isupper() and PERSON.fullmatch(piece):
            yield piece


def _is_confirmed(word: str, boxes: list[str]) -> bool:
    """Whether a word with a capital is in the local part of an e-mail address, or begins as it."""
    plain = _plain(word)
    return (
        word[:1].isupper()
        and len(plain) >= len("Shen")
        and any(plain[:_ALIKE] in box for box in boxes)
    )


def _plain(text: str) -> str:
    """Without accents and capitals."""
    letters = unicodedata.normalize("NFKD", text.lower())
    return "".join(char for char in letters if not unicodedata.combining(char))


def _is_own(name: str, words: set[str], own: str) -> bool:
    """Whether a name is no other word: neither in title or abstract, nor with small letters."""
    return name not in own and not all(
        word.lower() in words for word in re.findall(r"[^\W\d_]{2,}", name)
    )


def _any_of(names: Iterable[str]) -> re.Pattern[str] | None:
    found = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"\b(?:{found})\b") if found else None


def _host(domain: str) -> str:
    """The part of a domain that an institution registers; none of those that all people share."""
    labels = domain.strip().lower().split(".")
    count = 3 if len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    registered = labels[-count:]
    return "" if registered[0] in _SHARED_HOSTS else ".".join(registered)


def _pages_on(hosts: set[str]) -> re.Pattern[str] | None:
    found = "|".join(map(re.escape, sorted(hosts)))
    if not found:
        return None
    return re.compile(
        rf"(?:https?://\s?)?(?<![\w@.-])(?:[\w-]{{1,63}}\.){{0,5}}(?:{found})\b(?:/[^\s)\]}},;]*)?",
        re.IGNORECASE,
    )
