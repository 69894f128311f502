"""Why each glyph of a page can't be seen, if so: paint, place, size, colour, cover, shape."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import pymupdf
from numpy.typing import NDArray

from app.paper.hidden.glyphs import GlyphShapes
from app.paper.hidden.rendering import Rendering
from app.paper.hidden.trace import Bools, Numbers, Trace
from app.paper.model import Finding

_KINDS = (
    "",
    "off_page",
    "render_mode",
    "transparent",
    "tiny",
    "invisible_colour",
    "covered",
    "clipped",
    "remapped_font",
)
_NOT_PAINTED = 3
_LEAST_OPACITY = 0.1
_LEAST_SIZE = 2.1
"""In points. Labels in figures go down to 2.3."""
_LEAST_EXTENT = 0.3
"""Points of a letter's height and width: a matrix can flatten a font of any size."""
_LEAST_CONTRAST = 24
"""Of 255: by what a text's colour and that behind it must differ in one channel."""
_IN_A_ROW = 3
"""One or two letters that leave no ink are accidents of the resolution."""
_WINDOW, _WRONG_IN_WINDOW = 7, 4
"""Letters in a row, and how many of them must show other letters than they claim."""
_FEWEST_LETTERS = 6
"""Fewer letters of one kind on a page are left out of its text, but not worth a report."""
_LONGEST_LABEL, _MANY = 5, 48
"""Of fewer letters in all, those in no longer word than this are labels of a figure, or a watermark
drawn letter by letter: left out too, and not reported."""
_LIGATURES = {"ff", "fi", "fl", "ffi", "ffl", "fb", "fh", "fj", "fk", "ft", "tt", "tf", "ti", "tti"}
_LIGATURES |= {"th", "st", "ct", "sp", "ch", "ck", "ae", "oe", "ij"}
_SCAN_HIDES, _SCAN_COVERS = 0.9, 0.5
"""Shares of a scan's letters that are hidden, and of its page that images cover."""
_SCAN_CONTRAST = 48
_COVERS = ("fill-path", "fill-image", "fill-shade")
_RASTER = 4
"""Points across a glyph's box at which later glyphs are looked for."""
_OF_AN_OCR_LAYER = ("render_mode", "transparent", "covered")


class Reasons:
    """For each glyph of a trace the first reason that was found, as a number in _KINDS."""

    def __init__(self, shown: Trace) -> None:
        self._shown = shown
        self.codes = np.zeros(len(shown), np.int8)

    @property
    def any(self) -> bool:
        return bool(self.codes.any())

    def mark(self, kind: str, glyphs: Bools) -> None:
        """Give the reason to those of the glyphs that have none."""
        self.codes[glyphs & (self.codes == 0)] = _KINDS.index(kind)

    def has(self, *kinds: str) -> Bools:
        return np.isin(self.codes, [_KINDS.index(kind) for kind in kinds])

    def findings(self, page: int) -> Iterator[Finding]:
        """Neighbours in the drawing order that are hidden for one reason, together."""
        shown = self._shown
        if not self.any:
            return
        alphabetic = shown.spread(chr(code).isalpha() for _, _, code in shown.kinds)
        letters = np.bincount(self.codes[alphabetic], minlength=len(_KINDS))
        words = self._longest_words(alphabetic)
        at = np.flatnonzero(shown.letters)
        for code, group in groupby(at.tolist(), key=lambda index: int(self.codes[index])):
            if code and letters[code] >= _FEWEST_LETTERS and words[code] >= _LONGEST_LABEL:
                run = list(group)
                end = run[-1] + 1
                while end < len(shown) and self.codes[end] == code and not shown.letters[end]:
                    end += 1
                yield shown.finding(page, _KINDS[code], run[0], end)

    def _longest_words(self, alphabetic: Bools) -> NDArray[np.int64]:
        """For each reason the letters of the longest word that it hides."""
        longest = np.zeros(len(_KINDS), np.int64)
        for code in np.unique(self.codes[alphabetic]).tolist():
            own = self._shown.words[alphabetic & (self.codes == code)]
            total = len(own)
            longest[code] = total if total >= _MANY else np.bincount(own).max(initial=0)
        return longest


def judge(page: pymupdf.Page, shown: Trace, rendering: Rendering, shapes: GlyphShapes) -> Reasons:
    """Look at every glyph of a page that is not rotated."""
    reasons = Reasons(shown)
    if not len(shown):
        return reasons
    _judge_paint(reasons, shown, page.rect)
    reasons.mark("invisible_colour", _blends_in(shown, rendering))
    reasons.mark("remapped_font", _remapped(shown, shapes))
    bare = ~rendering.inked(_middle(shown.boxes)) & shown.drawn
    covered = _runs(bare, shown.letters) | _buried(shown, rendering)
    reasons.mark("covered", _whole_words(covered, shown))
    if _is_scan(reasons, shown, page):
        _trust_ink(reasons, shown, rendering)
    elif reasons.any:
        _pardon_copies(reasons, shown)
    return reasons


def _judge_paint(reasons: Reasons, shown: Trace, sheet: pymupdf.Rect) -> None:
    middle = (shown.boxes[:, :2] + shown.boxes[:, 2:]) / 2
    size = (sheet.width, sheet.height)
    extent = (shown.boxes[:, 2:] - shown.boxes[:, :2]).min(axis=1)
    # The further letters of a ligature have no width of their own.
    flat = shown.letters & shown.drawn & (extent < _LEAST_EXTENT)
    reasons.mark("off_page", np.any((middle < 0) | (middle > size), axis=1))
    reasons.mark("render_mode", shown.paint == _NOT_PAINTED)
    reasons.mark("transparent", shown.opacity < _LEAST_OPACITY)
    reasons.mark("tiny", (shown.sizes < _LEAST_SIZE) | flat)


def _blends_in(shown: Trace, rendering: Rendering) -> Bools:
    """Whether a glyph's colour is that of the background, at four of five points of its box."""
    corner, extent = shown.boxes[:, :2], shown.boxes[:, 2:] - shown.boxes[:, :2]
    alike = np.zeros(len(shown), int)
    for part in ((0.5, 0.5), (0.2, 0.3), (0.8, 0.3), (0.2, 0.7), (0.8, 0.7)):
        behind = rendering.behind(corner + part * extent)
        contrast = np.abs(shown.colours - behind).max(axis=1) * shown.opacity
        alike += contrast <= _LEAST_CONTRAST
    return np.asarray(alike >= 4)


def _whole_words(flags: Bools, shown: Trace) -> Bools:
    """The words of which most letters are flagged: thin letters catch ink from next to them."""
    letters = np.bincount(shown.words, shown.letters)
    flagged = np.bincount(shown.words, flags & shown.letters)
    return flags | (2 * flagged > letters)[shown.words]


def _buried(shown: Trace, rendering: Rendering) -> Bools:
    """Glyphs under a shape or an image with other glyphs on it, whose ink is taken for theirs."""
    buried = np.zeros(len(shown), bool)
    above = _glyphs_above(shown, rendering.background.shape[:2], rendering.zoom)
    is_under = (above >= 0) & shown.upright & shown.upright[above]
    stacked = np.flatnonzero(_runs(is_under, shown.letters) & is_under)
    if not len(stacked):
        return buried
    operations = enumerate(rendering.operations())
    covers = [(at, box) for at, (kind, box) in operations if kind in _COVERS]
    middle = (shown.boxes[:, :2] + shown.boxes[:, 2:]) / 2
    for glyph in stacked.tolist():
        between = range(shown.order[glyph] + 1, shown.order[above[glyph]])
        x, y = middle[glyph]
        buried[glyph] = any(
            at in between and box[0] <= x <= box[2] and box[1] <= y <= box[3] for at, box in covers
        )
    return buried


def _glyphs_above(shown: Trace, shape: tuple[int, ...], zoom: float) -> NDArray[np.int64]:
    """For each glyph the last of those drawn later over the middle of its box; -1 for none."""
    boxes = _middle(shown.boxes) * zoom
    parts = (np.arange(_RASTER) + 0.5) / _RASTER
    x = boxes[:, 0, None] + parts * (boxes[:, 2] - boxes[:, 0])[:, None]
    y = boxes[:, 1, None] + parts * (boxes[:, 3] - boxes[:, 1])[:, None]
    columns = np.clip(x, 0, shape[1] - 1).astype(np.intp)[:, None, :]
    rows = np.clip(y, 0, shape[0] - 1).astype(np.intp)[:, :, None]
    numbers = np.arange(len(shown))[:, None, None]
    last = np.full(shape, -1)
    # Where several glyphs meet, the last one stays.
    last[rows, columns] = numbers
    found = last[rows, columns].max(axis=(1, 2))
    return np.where(found > numbers[:, 0, 0], found, -1)


def _middle(boxes: Numbers) -> Numbers:
    margin = 0.2 * (boxes[:, 2:] - boxes[:, :2])
    return np.hstack([boxes[:, :2] + margin, boxes[:, 2:] - margin])


def _runs(flags: Bools, letters: Bools) -> Bools:
    """Runs of flagged letters, of what length they must have, with the signs between them."""
    at = np.flatnonzero(letters)
    padded = np.r_[False, flags[at], False]
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    runs = np.zeros(len(flags), bool)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= _IN_A_ROW:
            runs[at[start] : at[end - 1] + 1] = True
    return runs


def _remapped(shown: Trace, shapes: GlyphShapes) -> Bools:
    """Words with wrong glyphs, where many letters in a row are wrong."""
    hot = np.zeros(len(shown), bool)
    wrong = shown.spread(shapes.wrong(shown)) | _overloaded(shown)
    if not wrong.any():
        return hot
    at = np.flatnonzero(shown.letters)
    counts = np.convolve(wrong[at], np.ones(_WINDOW, int))
    for last in np.flatnonzero(counts >= _WRONG_IN_WINDOW).tolist():
        hot[at[max(0, last - _WINDOW + 1) : last + 1]] = True
    words = shown.words
    return np.isin(words, words[hot & wrong])


def _overloaded(shown: Trace) -> Bools:
    """Glyphs that claim several letters and are no ligature."""
    overloaded = np.zeros(len(shown), bool)
    starts = np.flatnonzero(shown.drawn)
    ends = np.append(starts[1:], len(shown))
    for which in np.flatnonzero(ends - starts > 1).tolist():
        start, end = starts[which], ends[which]
        text = "".join(shown.characters[start:end])
        overloaded[start:end] = text.lower() not in _LIGATURES and any(map(str.isalpha, text))
    return overloaded


def _is_scan(reasons: Reasons, shown: Trace, page: pymupdf.Page) -> bool:
    """Whether the page's whole text, nearly, is invisible on images that cover it."""
    hidden = reasons.has(*_OF_AN_OCR_LAYER)[shown.letters]
    if not len(hidden) or hidden.mean() < _SCAN_HIDES:
        return False
    images = [pymupdf.Rect(image["bbox"]) & page.rect for image in page.get_image_info()]
    return bool(sum(map(abs, images)) >= _SCAN_COVERS * abs(page.rect))


def _trust_ink(reasons: Reasons, shown: Trace, rendering: Rendering) -> None:
    """The invisible words of a scan are its text, where there is something to be seen."""
    words = shown.words
    inked = rendering.contrast(shown.boxes) >= _SCAN_CONTRAST
    letters = np.bincount(words, shown.letters)
    seen = np.bincount(words, shown.letters & inked)
    trusted = (2 * seen >= letters)[words]
    reasons.codes[trusted & reasons.has(*_OF_AN_OCR_LAYER)] = 0


def _pardon_copies(reasons: Reasons, shown: Trace) -> None:
    """A hidden word on a visible one that is the same is its outline or shadow."""
    hidden = reasons.codes > 0
    cells = np.round(shown.origins).astype(int).tolist()
    seen = {
        (char, x + right, y + down)
        for char, (x, y), is_hidden in zip(shown.characters, cells, hidden, strict=True)
        if not is_hidden
        for right in (-1, 0, 1)
        for down in (-1, 0, 1)
    }
    copies = hidden.copy()
    for index in np.flatnonzero(hidden).tolist():
        copies[index] = (shown.characters[index], *cells[index]) in seen
    # Where one letter in a word is by chance what stands there, the word is no copy.
    strange = np.bincount(shown.words, hidden & ~copies & shown.letters)
    reasons.codes[copies & (strange == 0)[shown.words]] = 0
