"""Handlers of commands that can make text invisible: colours, sizes, opacity, PDF operators."""

from __future__ import annotations

import re

from app.paper.latex.reader import Command, LatexReader
from app.paper.latex.tokens import PARAGRAPH

_LEAST_SIZE, _LEAST_SCALE, _LEAST_OPACITY = 2.5, 0.2, 0.15
"""Text below these (in points, and shares of 1) counts as invisible."""
_NUMBER = re.compile(r"\s*(-?\d*\.?\d+)")
_INVISIBLE = re.compile(r"(?<![\d.])3\s+Tr\b|TextRenderingMode\s*=\s*(3|Invisible)")
_VISIBLE = re.compile(r"(?<![\d.])[0-2]\s+Tr\b")


def _number(text: str) -> float | None:
    match = _NUMBER.match(text)
    return float(match[1]) if match else None


def _colour(reader: LatexReader, _: str) -> None:
    model = reader.tokens.optional()
    reader.frame.ink = reader.palette.colour(reader.tokens.text(), "".join(model or []))
    reader.look(reader.frame)


def _text_colour(reader: LatexReader, _: str) -> None:
    model = reader.tokens.optional()
    ink = reader.palette.colour(reader.tokens.text(), "".join(model or []))
    frame = reader.argument()
    frame.ink = ink
    reader.look(frame)


def _colour_box(reader: LatexReader, command: str) -> None:
    model = reader.tokens.optional()
    if command == r"\fcolorbox":
        reader.tokens.argument()
    paper = reader.palette.colour(reader.tokens.text(), "".join(model or []))
    frame = reader.argument()
    frame.paper = paper
    reader.look(frame)


def _cell_colour(reader: LatexReader, _: str) -> None:
    """A coloured cell: up to the end of the row, the background is unknown, so white text counts
    as visible.
    """
    model = reader.tokens.optional()
    colour = reader.palette.colour(reader.tokens.text(), "".join(model or []))
    if colour != (1, 1, 1):
        reader.frame.paper = None
        reader.look(reader.frame)


def _page_colour(reader: LatexReader, _: str) -> None:
    model = reader.tokens.optional()
    paper = reader.palette.colour(reader.tokens.text(), "".join(model or []))
    for frame in reader.frames:
        frame.paper = paper
    reader.look(reader.frame)


def _define_colour(reader: LatexReader, _: str) -> None:
    reader.tokens.optional()
    tokens = reader.tokens
    reader.palette.define(tokens.text(), tokens.text(), tokens.text())


def _alias_colour(reader: LatexReader, _: str) -> None:
    name = reader.tokens.text()
    reader.palette.define(name, "", reader.tokens.text())


def _force(reader: LatexReader, reason: str) -> None:
    frame = reader.argument()
    frame.forced = reason or frame.forced
    reader.look(frame)


def _phantom(reader: LatexReader, _: str) -> None:
    _force(reader, "phantom")


def _font_size(reader: LatexReader, _: str) -> None:
    size = _number(reader.tokens.text())
    reader.tokens.argument()
    reader.frame.forced = "tiny" if size is not None and size < _LEAST_SIZE else ""
    reader.look(reader.frame)


def _scale(reader: LatexReader, _: str) -> None:
    scale = _number(reader.tokens.text())
    reader.tokens.optional()
    _force(reader, "tiny" if scale is not None and abs(scale) < _LEAST_SCALE else "")


def _transparent(reader: LatexReader, _: str) -> None:
    opacity = _number(reader.tokens.text())
    faint = opacity is not None and opacity < _LEAST_OPACITY
    reader.frame.forced = "transparent" if faint else ""
    reader.look(reader.frame)


def _text_transparent(reader: LatexReader, _: str) -> None:
    opacity = _number(reader.tokens.text())
    _force(reader, "transparent" if opacity is not None and opacity < _LEAST_OPACITY else "")


def _literal(reader: LatexReader, _: str) -> None:
    """PDF operators. Text in render mode 3 is invisible."""
    while (token := reader.tokens.peek()) and token not in ("{", PARAGRAPH):
        reader.tokens.next()
    operators = reader.tokens.text()
    if _INVISIBLE.search(operators):
        reader.frame.forced = "render_mode"
    elif _VISIBLE.search(operators):
        reader.frame.forced = ""
    reader.look(reader.frame)


def _text_literal(reader: LatexReader, _: str) -> None:
    _force(reader, "render_mode" if _INVISIBLE.search(reader.tokens.text()) else "")


CONCEALING: dict[str, Command] = {
    r"\color": _colour,
    r"\textcolor": _text_colour,
    r"\colorbox": _colour_box,
    r"\fcolorbox": _colour_box,
    **dict.fromkeys((r"\cellcolor", r"\rowcolor", r"\columncolor"), _cell_colour),
    r"\pagecolor": _page_colour,
    r"\definecolor": _define_colour,
    r"\providecolor": _define_colour,
    r"\colorlet": _alias_colour,
    **dict.fromkeys((r"\phantom", r"\hphantom", r"\vphantom"), _phantom),
    r"\fontsize": _font_size,
    r"\scalebox": _scale,
    r"\transparent": _transparent,
    r"\texttransparent": _text_transparent,
    **dict.fromkeys((r"\pdfliteral", r"\special", r"\pdfrender"), _literal),
    r"\textpdfrender": _text_literal,
}
HIDE_IN_FORMULAS = frozenset(CONCEALING) - {r"\special"}
"""The commands that are also handled within formulas."""
