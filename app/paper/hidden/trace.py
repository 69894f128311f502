"""All glyphs that a page draws, visible or not, in drawing order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pymupdf
from numpy.typing import NDArray
from pymupdf import mupdf

from app.paper.hidden.rendering import run
from app.paper.model import Finding

Bools = NDArray[np.bool_]
Numbers = NDArray[np.float64]
Glyph = tuple[int, int, int]
"""Index of the font, glyph number, code point."""
Place = tuple[str, float, float]
"""A character and its position, which identify it on the page."""
_WORD_GAP = 0.2
"""Least gap between two words, as a share of the font's size."""


class Trace:
    """Arrays with one row per glyph, from the spans of MuPDF's text trace; positions in points.

    ``paint`` is 0 for filled glyphs, 1 for stroked ones, 3 for invisible ones. ``colours`` are RGB
    from 0 to 255. ``letters`` is true for letters and digits. ``drawn`` is false for the second and
    further characters of a glyph. ``upright`` is false for text at an angle, whose boxes are too
    large. ``order`` is the index among the page's drawing operations (of text and others).
    ``kinds`` are the distinct glyphs of ``fonts``, and ``kind_of`` their index for each glyph.
    ``is_clipped`` is true if the page has further glyphs outside of a clip.
    """

    def __init__(
        self,
        spans: Sequence[Mapping[str, Any]],
        fonts: Sequence[mupdf.FzFont],
        font_of: Sequence[int],
        is_clipped: bool = False,
    ) -> None:
        glyphs = [glyph for span in spans for glyph in span["chars"]]
        span_of = np.repeat(np.arange(len(spans)), [len(span["chars"]) for span in spans])
        codes = np.fromiter((glyph[0] for glyph in glyphs), np.int64, len(glyphs))
        gids = np.fromiter((glyph[1] for glyph in glyphs), np.int64, len(glyphs))
        self.characters = [chr(code) for code in codes.tolist()]
        self.drawn: Bools = gids >= 0
        self.origins = _rows((glyph[2] for glyph in glyphs), 2)
        self.boxes = _rows((glyph[3] for glyph in glyphs), 4)
        self.sizes = _rows(((span["size"],) for span in spans), 1)[span_of, 0]
        self.paint = _rows(((span["type"],) for span in spans), 1)[span_of, 0]
        self.opacity = _rows(((span["opacity"],) for span in spans), 1)[span_of, 0]
        self.colours = _rows((_rgb(span["color"]) for span in spans), 3)[span_of]
        upright = [max(map(abs, span["dir"])) > 0.99 for span in spans]
        self.upright: Bools = np.array(upright, bool)[span_of]
        self.order = np.array([span["seqno"] for span in spans], np.int64)[span_of]
        self.fonts, self.is_clipped = fonts, is_clipped
        drawn_by_programs = [bool(font.m_internal.t3procs) for font in fonts]
        if any(drawn_by_programs):
            of_spans = np.array([drawn_by_programs[number] for number in font_of], bool)
            self._measure_anew(of_spans[span_of])
        # Code points and glyph numbers have at most 21 bits.
        packed, self.kind_of = np.unique(
            (np.array(font_of, np.int64)[span_of] << 42) + (gids + 1 << 21) + codes,
            return_inverse=True,
        )
        self.kinds: list[Glyph] = [
            (kind >> 42, (kind >> 21 & 0x1FFFFF) - 1, kind & 0x1FFFFF) for kind in packed.tolist()
        ]
        self.letters = self.spread(chr(code).isalnum() for _, _, code in self.kinds)

    def _measure_anew(self, glyphs: Bools) -> None:
        """Set sizes and boxes of Type 3 glyphs from their widths, as their units are arbitrary."""
        widths = self.boxes[:, 2] - self.boxes[:, 0]
        odd = glyphs & self.upright & (widths > self.sizes)
        self.sizes[odd] = widths[odd]
        self.boxes[odd, 1] = self.origins[odd, 1] - 0.7 * widths[odd]
        self.boxes[odd, 3] = self.origins[odd, 1] + 0.2 * widths[odd]

    def spread(self, verdicts: Iterable[bool]) -> Bools:
        """Expand values for the distinct glyphs (``kinds``) to all glyphs."""
        return np.fromiter(verdicts, bool, len(self.kinds))[self.kind_of]

    @classmethod
    def of_page(cls, page: pymupdf.Page) -> Trace:
        """A trace of all glyphs of the page's contents, including clipped ones, without fonts."""
        spans = [span for span in page.get_texttrace() if span["chars"]]
        return cls(spans, (), [0] * len(spans))

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def places(self) -> list[Place]:
        return [
            place_of(char, x, y)
            for char, (x, y) in zip(self.characters, self.origins.tolist(), strict=True)
        ]

    def finding(self, page: int, kind: str, start: int, end: int) -> Finding:
        """The glyphs from ``start`` to ``end`` as a finding, with spaces between words."""
        words = self.words[start:end]
        starts = np.r_[False, words[1:] != words[:-1]].tolist()
        text = "".join(
            f" {char}" if parted else char
            for char, parted in zip(self.characters[start:end], starts, strict=True)
        )
        boxes = self.boxes[start:end]
        (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        place = (float(x0), float(y0), float(x1), float(y1))
        return Finding(page, kind, " ".join(text.split()), place)

    @cached_property
    def words(self) -> NDArray[np.intp]:
        """For each glyph, the number of its word, counted in drawing order."""
        ends = np.c_[self.boxes[:-1, 2], self.origins[:-1, 1]]
        gaps = np.abs(self.origins[1:] - ends) > _WORD_GAP * self.sizes[1:, None]
        starts = np.r_[False, gaps.any(axis=1) & self.drawn[1:]] if len(self) else np.zeros(0, bool)
        spaces = self.spread(chr(code).isspace() for _, _, code in self.kinds)
        return np.cumsum(starts | spaces)


def trace(page: pymupdf.Page, commands: mupdf.FzDisplayList) -> Trace:
    """The glyphs of a page, which must not be rotated, from its display list.

    Like ``page.get_texttrace()``, but this does not interpret the page again, and has the fonts and
    not only their names.
    """
    spans: list[dict[str, Any]] = []
    device = pymupdf.extra.JM_new_texttrace_device(spans)
    device.ptm = mupdf.FzMatrix(1, 0, 0, -1, 0, page.rect.y1)
    run(commands, device)
    spans = [span for span in spans if span["chars"]]
    fonts = _Fonts()
    mupdf.fz_run_page(page.this, fonts, mupdf.FzMatrix(), mupdf.FzCookie())
    mupdf.fz_close_device(fonts)
    is_clipped = fonts.glyphs != sum(len(span["chars"]) for span in spans)
    if is_clipped:
        # Display lists omit what is completely outside of a clip.
        fonts = _Fonts()
        run(commands, fonts)
    return Trace(spans, fonts.fonts, fonts.used, is_clipped)


class _Fonts(mupdf.FzDevice2):  # type: ignore[misc]  # MuPDF has no types
    """Collects the fonts of all text that is drawn, and the index of each span's font."""

    def __init__(self) -> None:
        super().__init__()
        self.use_virtual_fill_text()
        self.use_virtual_stroke_text()
        self.use_virtual_ignore_text()
        self.fonts: list[mupdf.FzFont] = []
        self.used: list[int] = []
        self.glyphs = 0
        self._numbers: dict[int, int] = {}

    def fill_text(self, _context: Any, text: Any, *_paint: Any) -> None:
        span = text.head
        while span is not None:
            if span.len:
                self.used.append(self._number(span.font))
                self.glyphs += span.len
            span = span.next

    stroke_text = ignore_text = fill_text

    def _number(self, font: Any) -> int:
        address = int(font.this)
        if address not in self._numbers:
            self._numbers[address] = len(self.fonts)
            self.fonts.append(mupdf.FzFont(mupdf.ll_fz_keep_font(font)))
        return self._numbers[address]


def _rows(rows: Iterable[Sequence[float]], width: int) -> Numbers:
    return np.fromiter(chain.from_iterable(rows), float).reshape(-1, width)


def place_of(char: str, x: float, y: float) -> Place:
    return char, round(x, 1), round(y, 1)


def _rgb(colour: Sequence[float]) -> tuple[float, ...]:
    if len(colour) == 4:
        *inks, black = colour
        return tuple(255 * (1 - min(1.0, ink + black)) for ink in inks)
    if len(colour) == 1:
        colour = (*colour,) * 3
    return tuple(255 * part for part in colour)
