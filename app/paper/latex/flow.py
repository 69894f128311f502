"""Collects paragraphs from LaTeX, and evaluates colours of the package xcolor."""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.paper.clean import clean
from app.paper.latex.tokens import VERBATIM, is_word
from app.paper.model import Paragraph, ParagraphKind

Colour = tuple[float, float, float]
"""Red, green and blue from 0 to 1."""

_DASHES = re.compile(r"---?|``|''")
_TYPESET = {"--": "–", "---": "—", "``": "“", "''": "”"}
_CONTRAST = 24 / 255


def tidy(text: str) -> str:
    """The text without control characters, redundant white space and empty lines."""
    lines = (clean(line) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


class Flow:
    """Collects the text of the document, or of the argument of a command or environment.

    ``kind`` is the kind of its paragraphs. Footnotes and floats are kept until the end of the
    current paragraph. A ``raw`` flow keeps the LaTeX source.
    """

    def __init__(self, kind: ParagraphKind = "text", *, raw: bool = False) -> None:
        self.blocks: list[Paragraph] = []
        self.kind = kind
        self.raw = raw
        self.table = False
        self._pieces: list[str] = []
        self._notes: list[Paragraph] = []

    def add(self, token: str) -> None:
        """Add a token: text or, in a raw flow, any token."""
        if self.raw:
            if self._pieces and token[:1].isalpha() and is_word(self._pieces[-1] or " "):
                self._pieces.append(" ")
        elif token[:1] == VERBATIM:
            token = token[1:]
        else:
            token = _DASHES.sub(lambda match: _TYPESET[match[0]], token)
        if token:
            self._pieces.append(token)

    def attach(self, blocks: list[Paragraph]) -> None:
        """Add blocks after the current paragraph."""
        self._notes += blocks
        if not self._pieces:
            self.end_paragraph()

    def block(self, paragraph: Paragraph) -> None:
        """End the current paragraph and add a block."""
        self.end_paragraph()
        self.blocks += [paragraph] if paragraph.text else []

    @property
    def is_begun(self) -> bool:
        """Whether the flow has any text."""
        return bool(self.blocks) or any(piece.strip() for piece in self._pieces)

    def end_paragraph(self) -> None:
        text = tidy("".join(self._pieces).replace(VERBATIM, ""))
        if text:
            self.blocks.append(Paragraph(text, self.kind))
        self.blocks += self._notes
        self._pieces, self._notes = [], []

    def take(self) -> list[Paragraph]:
        """Remove and return all paragraphs."""
        self.end_paragraph()
        blocks, self.blocks = self.blocks, []
        return blocks

    def source(self) -> str:
        """The LaTeX source in a raw flow."""
        return "".join(self._pieces).replace(VERBATIM, "")


class Palette:
    """The colours of a document by name."""

    def __init__(self) -> None:
        self._named: dict[str, Colour | None] = {
            "white": (1, 1, 1),
            "black": (0, 0, 0),
            "red": (1, 0, 0),
            "green": (0, 1, 0),
            "blue": (0, 0, 1),
            "gray": (0.5, 0.5, 0.5),
        }

    def define(self, name: str, model: str, value: str) -> None:
        self._named[name] = self.colour(value, model)

    def colour(self, value: str, model: str = "") -> Colour | None:
        """The colour of a value; None if it can't be evaluated."""
        try:
            return _by_model(model, value) if model else self._mixed(value)
        except (ValueError, IndexError):
            return None

    def _mixed(self, value: str) -> Colour | None:
        """``red!20!blue``: 20 percent of the first colour, the rest of the second."""
        first, *rest = value.replace(" ", "").split("!")
        mixed = self._named.get(first)
        for index in range(0, len(rest), 2):
            other = self._named.get(rest[index + 1]) if index + 1 < len(rest) else (1, 1, 1)
            if mixed is None or other is None:
                return None
            share = float(rest[index]) / 100
            mixed = _triple(share * a + (1 - share) * b for a, b in zip(mixed, other, strict=True))
        return mixed


def alike(ink: Colour | None, paper: Colour | None) -> bool:
    """Whether text (``ink``) has almost the same colour as its background (``paper``)."""
    if ink is None or paper is None:
        return False
    return max(abs(a - b) for a, b in zip(ink, paper, strict=True)) <= _CONTRAST


def _by_model(model: str, value: str) -> Colour | None:
    if model == "HTML":
        return _triple(int(value.strip()[at : at + 2], 16) / 255 for at in (0, 2, 4))
    numbers = [float(number) for number in value.split(",")]
    if model == "gray":
        return _triple(numbers[:1] * 3)
    if model == "cmyk":
        return _triple((1 - ink) * (1 - numbers[3]) for ink in numbers[:3])
    if model in ("rgb", "RGB"):
        return _triple(number / (255 if model == "RGB" else 1) for number in numbers)
    return None


def _triple(parts: Iterable[float]) -> Colour:
    red, green, blue = parts
    return red, green, blue
