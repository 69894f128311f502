"""Checks whether a font's glyphs look like the letters that they are encoded as.

A font's ToUnicode table or glyph names may differ from its outlines: a reader sees the outlines, a
text extractor the codes. Every glyph with the code of a Latin letter is drawn once and compared
with the 52 letters in eight typefaces, without OCR. Each glyph is checked by itself, so it does not
matter if a text uses several fonts. Not checked are other scripts, digits and signs, and letters
that look like another one (l and I, c and C).
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pymupdf
from numpy.typing import NDArray
from pymupdf import mupdf

from app.paper.hidden.rendering import blank_pixmap, pixels
from app.paper.hidden.trace import Trace

Shapes = NDArray[np.float32]

_FACES = ("tiro", "tibo", "tiit", "helv", "hebo", "heit", "cour", "cobo")
_LETTERS = string.ascii_letters
_CODES = frozenset(map(ord, _LETTERS))
_LEAST_LIKENESS = 0.65
"""A glyph with at least this similarity (1 is equal) to its letter is correct."""
_LEAST_ADVANTAGE = 0.2
"""A wrong glyph is more similar to another letter than to its own by at least this."""
_SIDE, _EM, _CANVAS = 16, 40, 96
"""Sizes in pixels: of a shape, of the em square, and of the canvas."""
_INK = 64
_MOST_FONTS = 512


class GlyphShapes:
    """Checks the glyphs of one document; each glyph is drawn once."""

    def __init__(self) -> None:
        # By address. The fonts are kept, so that no other font gets the same address.
        self._fonts: dict[int, mupdf.FzFont] = {}
        self._wrong: dict[tuple[int, int, int], bool] = {}

    def wrong(self, shown: Trace) -> list[bool]:
        """For each of the page's distinct glyphs, whether it looks like another letter."""
        if len(self._fonts) > _MOST_FONTS:
            self._fonts.clear()
            self._wrong.clear()
        addresses = [int(font.m_internal.this) for font in shown.fonts]
        self._fonts.update(zip(addresses, shown.fonts, strict=True))
        keys = [(addresses[font], gid, code) for font, gid, code in shown.kinds]
        self._judge([key for key in keys if key[2] in _CODES and key not in self._wrong])
        return [self._wrong.get(key, False) for key in keys]

    def _judge(self, new: Sequence[tuple[int, int, int]]) -> None:
        if not new:
            return
        shapes, inked = _shapes([(self._fonts[font], gid) for font, gid, _ in new])
        for key, shape, has_shape in zip(new, shapes, inked, strict=True):
            self._wrong[key] = bool(has_shape) and _contradicts(shape, chr(key[2]))


def _contradicts(shape: Shapes, letter: str) -> bool:
    likeness = (_templates() @ shape).max(axis=1)
    # Small capitals have the codes of lower-case letters.
    own = max(likeness[_LETTERS.index(case)] for case in (letter.lower(), letter.upper()))
    return bool(own < _LEAST_LIKENESS and likeness.max() - own > _LEAST_ADVANTAGE)


@lru_cache(maxsize=1)
def _templates() -> Shapes:
    """The letters' shapes, as an array (letters, typefaces, pixels)."""
    fonts = [pymupdf.Font(face) for face in _FACES]
    shapes, _ = _shapes(
        [(font.this, font.has_glyph(ord(letter))) for letter in _LETTERS for font in fonts]
    )
    return shapes.reshape(len(_LETTERS), len(fonts), -1)


def _shapes(glyphs: Sequence[tuple[mupdf.FzFont, int]]) -> tuple[Shapes, NDArray[np.bool_]]:
    """The glyphs' ink, scaled to a square and normalised to mean 0 and length 1.

    Returns an array (glyphs, pixels), and which glyphs have a shape (neither blank nor full).
    """
    sheet = blank_pixmap(
        mupdf.FzColorspace.Fixed_GRAY, mupdf.FzIrect(0, 0, _CANVAS, _CANVAS * len(glyphs))
    )
    for number, (font, gid) in enumerate(glyphs):
        _draw(font, gid, sheet, number * _CANVAS)
    ink = np.float32(255) - pixels(sheet).reshape(-1, _CANVAS, _CANVAS)
    squares = _fitted(ink).reshape(len(glyphs), -1)
    squares -= squares.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(squares, axis=1)
    inked = lengths > 1
    squares[inked] /= lengths[inked, None]
    return squares, inked


def _draw(font: mupdf.FzFont, gid: int, sheet: mupdf.FzPixmap, top: int) -> None:
    text, still = mupdf.FzText(), mupdf.FzMatrix()
    # Type 3 fonts, such as TeX's bitmap fonts, may have upside-down letters that the page turns.
    up = _EM if font.m_internal.t3procs and font.m_internal.t3matrix.d < 0 else -_EM
    place = mupdf.FzMatrix(_EM, 0, 0, up, _CANVAS / 4, top + _CANVAS * 2 / 3)
    mupdf.fz_show_glyph(text, font, place, gid, 0, 0, 0, 0, 0)
    # Clipped, so that no glyph is drawn over another one's cell.
    cell = mupdf.FzIrect(0, top, _CANVAS, top + _CANVAS)
    device = mupdf.fz_new_draw_device_with_bbox(still, sheet, cell)
    grey = mupdf.FzColorspace(mupdf.FzColorspace.Fixed_GRAY)
    mupdf.fz_fill_text(device, text, still, grey, [0.0], 1.0, mupdf.FzColorParams())
    mupdf.fz_close_device(device)


def _fitted(ink: Shapes) -> Shapes:
    """Crop each image of (n, side, side) to its ink, and average it to _SIDE by _SIDE pixels."""
    sums = np.zeros((len(ink), _CANVAS + 1, _CANVAS + 1), np.float32)
    np.cumsum(ink.cumsum(axis=1), axis=2, out=sums[:, 1:, 1:])
    for axis in (1, 2):
        dark = ink.max(axis=3 - axis) > _INK
        first, last = dark.argmax(axis=1), _CANVAS - dark[:, ::-1].argmax(axis=1)
        edges = np.linspace(first, last, _SIDE + 1, axis=1)
        below = np.minimum(edges.astype(int), _CANVAS - 1)
        part = np.expand_dims(edges - below, 3 - axis).astype(np.float32)
        index = np.expand_dims(below, 3 - axis)
        lower = np.take_along_axis(sums, index, axis)
        sums = lower + part * (np.take_along_axis(sums, index + 1, axis) - lower)
    cells = np.diff(np.diff(sums, axis=1), axis=2)
    return np.asarray(cells / np.maximum(cells.max(axis=(1, 2), keepdims=True), 1))
