"""Detects glyphs that are invisible, by their paint, position, size, colour, cover and shape."""

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
"""In points. Labels in figures can be as small as 2.3."""
_LEAST_EXTENT = 0.3
"""Least height and width of a letter in points: a matrix can flatten a font of any size."""
_LEAST_CONTRAST = 24
"""Of 255: least difference between text and background in one colour channel."""
_IN_A_ROW = 3
"""Least number of consecutive letters without ink: one or two may be due to the resolution."""
_WINDOW, _WRONG_IN_WINDOW = 7, 4
"""Number of consecutive letters, and how many of them must look like other letters."""
_FEWEST_LETTERS = 6
"""Fewer hidden letters of one kind on a page are removed from its text, but not reported."""
_LONGEST_LABEL, _MANY = 5, 48
"""Fewer than ``_MANY`` letters in words of less than ``_LONGEST_LABEL`` letters are labels of a
figure, or a watermark drawn letter by letter: removed too, and not reported."""
_LIGATURES = {"ff", "fi", "fl", "ffi", "ffl", "fb", "fh", "fj", "fk", "ft", "tt", "tf", "ti", "tti"}
_LIGATURES |= {"th", "st", "ct", "sp", "ch", "ck", "ae", "oe", "ij"}
_SCAN_HIDES, _SCAN_COVERS = 0.9, 0.5
"""Least shares of a scan's letters that are hidden, and of its page that images cover."""
_SCAN_CONTRAST = 48
_COVERS = ("fill-path", "fill-image", "fill-shade")
_RASTER = 4
"""Points per side of a glyph's box at which later glyphs are searched for."""
_OF_AN_OCR_LAYER = ("render_mode", "transparent", "covered")


class HiddenGlyphs:
    """For each glyph of a trace, the first kind of hiding that was detected, as an index of
    _KINDS.
    """

    def __init__(self, shown: Trace) -> None:
        self._shown = shown
        self.codes = np.zeros(len(shown), np.int8)

    @property
    def any(self) -> bool:
        return bool(self.codes.any())

    def mark(self, kind: str, glyphs: Bools) -> None:
        """Mark those of ``glyphs`` that are not marked yet."""
        self.codes[glyphs & (self.codes == 0)] = _KINDS.index(kind)

    def has(self, *kinds: str) -> Bools:
        return np.isin(self.codes, [_KINDS.index(kind) for kind in kinds])

    def findings(self, page: int) -> Iterator[Finding]:
        """Findings: consecutive glyphs in drawing order that are hidden in the same way."""
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
        """For each kind, the length of the longest hidden word."""
        longest = np.zeros(len(_KINDS), np.int64)
        for code in np.unique(self.codes[alphabetic]).tolist():
            own = self._shown.words[alphabetic & (self.codes == code)]
            total = len(own)
            longest[code] = total if total >= _MANY else np.bincount(own).max(initial=0)
        return longest


def detect(
    page: pymupdf.Page, shown: Trace, rendering: Rendering, shapes: GlyphShapes
) -> HiddenGlyphs:
    """Examine every glyph of a page. The page must not be rotated."""
    found = HiddenGlyphs(shown)
    if not len(shown):
        return found
    _by_paint(found, shown, page.rect)
    found.mark("invisible_colour", _blends_in(shown, rendering))
    found.mark("remapped_font", _remapped(shown, shapes))
    bare = ~rendering.inked(_middle(shown.boxes)) & shown.drawn
    covered = _runs(bare, shown.letters) | _buried(shown, rendering)
    found.mark("covered", _whole_words(covered, shown))
    if _is_scan(found, shown, page):
        _unmark_scanned_words(found, shown, rendering)
    elif found.any:
        _unmark_copies(found, shown)
    return found


def _by_paint(found: HiddenGlyphs, shown: Trace, sheet: pymupdf.Rect) -> None:
    middle = (shown.boxes[:, :2] + shown.boxes[:, 2:]) / 2
    size = (sheet.width, sheet.height)
    extent = (shown.boxes[:, 2:] - shown.boxes[:, :2]).min(axis=1)
    # The further letters of a ligature have no width of their own.
    flat = shown.letters & shown.drawn & (extent < _LEAST_EXTENT)
    found.mark("off_page", np.any((middle < 0) | (middle > size), axis=1))
    found.mark("render_mode", shown.paint == _NOT_PAINTED)
    found.mark("transparent", shown.opacity < _LEAST_OPACITY)
    found.mark("tiny", (shown.sizes < _LEAST_SIZE) | flat)


def _blends_in(shown: Trace, rendering: Rendering) -> Bools:
    """Whether a glyph has the background's colour at four of five points of its box."""
    corner, extent = shown.boxes[:, :2], shown.boxes[:, 2:] - shown.boxes[:, :2]
    alike = np.zeros(len(shown), int)
    for part in ((0.5, 0.5), (0.2, 0.3), (0.8, 0.3), (0.2, 0.7), (0.8, 0.7)):
        behind = rendering.behind(corner + part * extent)
        contrast = np.abs(shown.colours - behind).max(axis=1) * shown.opacity
        alike += contrast <= _LEAST_CONTRAST
    return np.asarray(alike >= 4)


def _whole_words(flags: Bools, shown: Trace) -> Bools:
    """Extend flags to words of which most letters are flagged, as thin letters may have ink of
    their neighbours.
    """
    letters = np.bincount(shown.words, shown.letters)
    flagged = np.bincount(shown.words, flags & shown.letters)
    return flags | (2 * flagged > letters)[shown.words]


def _buried(shown: Trace, rendering: Rendering) -> Bools:
    """Glyphs under a shape or an image that has other glyphs on it, whose ink would count as
    theirs.
    """
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
    """For each glyph, the last one that is drawn over the middle of its box later; -1 for none."""
    boxes = _middle(shown.boxes) * zoom
    parts = (np.arange(_RASTER) + 0.5) / _RASTER
    x = boxes[:, 0, None] + parts * (boxes[:, 2] - boxes[:, 0])[:, None]
    y = boxes[:, 1, None] + parts * (boxes[:, 3] - boxes[:, 1])[:, None]
    columns = np.clip(x, 0, shape[1] - 1).astype(np.intp)[:, None, :]
    rows = np.clip(y, 0, shape[0] - 1).astype(np.intp)[:, :, None]
    numbers = np.arange(len(shown))[:, None, None]
    last = np.full(shape, -1)
    # Where several glyphs overlap, the last one remains.
    last[rows, columns] = numbers
    found = last[rows, columns].max(axis=(1, 2))
    return np.where(found > numbers[:, 0, 0], found, -1)


def _middle(boxes: Numbers) -> Numbers:
    margin = 0.2 * (boxes[:, 2:] - boxes[:, :2])
    return np.hstack([boxes[:, :2] + margin, boxes[:, 2:] - margin])


def _runs(flags: Bools, letters: Bools) -> Bools:
    """Runs of at least ``_IN_A_ROW`` flagged letters, with the other characters between them."""
    at = np.flatnonzero(letters)
    padded = np.r_[False, flags[at], False]
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    runs = np.zeros(len(flags), bool)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= _IN_A_ROW:
            runs[at[start] : at[end - 1] + 1] = True
    return runs


def _remapped(shown: Trace, shapes: GlyphShapes) -> Bools:
    """Words with wrong glyphs, if many consecutive letters are wrong."""
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
    """Glyphs that claim to be several letters, but are not a ligature."""
    overloaded = np.zeros(len(shown), bool)
    starts = np.flatnonzero(shown.drawn)
    ends = np.append(starts[1:], len(shown))
    for which in np.flatnonzero(ends - starts > 1).tolist():
        start, end = starts[which], ends[which]
        text = "".join(shown.characters[start:end])
        overloaded[start:end] = text.lower() not in _LIGATURES and any(map(str.isalpha, text))
    return overloaded


def _is_scan(found: HiddenGlyphs, shown: Trace, page: pymupdf.Page) -> bool:
    """Whether nearly all text of the page is invisible, and images cover the page."""
    hidden = found.has(*_OF_AN_OCR_LAYER)[shown.letters]
    if not len(hidden) or hidden.mean() < _SCAN_HIDES:
        return False
    images = [pymupdf.Rect(image["bbox"]) & page.rect for image in page.get_image_info()]
    return bool(sum(map(abs, images)) >= _SCAN_COVERS * abs(page.rect))


def _unmark_scanned_words(found: HiddenGlyphs, shown: Trace, rendering: Rendering) -> None:
    """Unmark the invisible words of a scan at places where the scan shows something."""
    words = shown.words
    inked = rendering.contrast(shown.boxes) >= _SCAN_CONTRAST
    letters = np.bincount(words, shown.letters)
    seen = np.bincount(words, shown.letters & inked)
    trusted = (2 * seen >= letters)[words]
    found.codes[trusted & found.has(*_OF_AN_OCR_LAYER)] = 0


def _unmark_copies(found: HiddenGlyphs, shown: Trace) -> None:
    """Unmark hidden words on an equal visible word: they are its outline or shadow."""
    hidden = found.codes > 0
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
    # All letters of a word must match: a single one may be equal by chance.
    strange = np.bincount(shown.words, hidden & ~copies & shown.letters)
    found.codes[copies & (strange == 0)[shown.words]] = 0
