"""Text in a PDF that is never shown nor extracted, and is only to be reported.

Hidden layers, hidden annotations, and replacement texts (ActualText) that say something else than
the glyphs they stand for.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pymupdf
from pymupdf import mupdf

from app.paper.model import BBox, Finding
from app.paper.rendering import run
from app.paper.trace import Place, Trace, trace

_NOT_SHOWN = pymupdf.PDF_ANNOT_IS_HIDDEN | pymupdf.PDF_ANNOT_IS_NO_VIEW
_MOST_STRAY_LETTERS = 5
"""So many letters in all that a page's replacement texts may have and its glyphs not: ligatures,
signs spelled out."""


class Layers:
    """A document's optional content, all of it shown for a look at what is not."""

    def __init__(self, document: pymupdf.Document) -> None:
        groups = document.get_ocgs()
        self._document = document
        self._on = [xref for xref, group in groups.items() if group["on"]]
        self._off = [xref for xref, group in groups.items() if not group["on"]]
        self._vary = bool(self._off) or (bool(groups) and _has_membership_rules(document))

    def findings(self, page: pymupdf.Page, shown: Trace) -> Iterator[Finding]:
        """Text that appears with every layer on, or off: some show what others hide."""
        if not self._vary:
            return
        every = self._on + self._off
        known = set(shown.places)
        try:
            for on, off in ((every, []), ([], every)):
                self._document.set_layer(-1, on=on, off=off)
                other = trace(page, page.get_displaylist().this)
                yield from _unknown(page.number + 1, other, known)
                known.update(other.places)
        finally:
            self._document.set_layer(-1, on=self._on, off=self._off)


def _has_membership_rules(document: pymupdf.Document) -> bool:
    """Whether some content is shown only where a layer is off."""
    for xref in range(1, document.xref_length()):
        if document.xref_get_key(xref, "Type")[1] == "/OCMD":
            policy = document.xref_get_key(xref, "P")[1]
            if policy in ("/AllOff", "/AnyOff") or document.xref_get_key(xref, "VE")[0] != "null":
                return True
    return False


def _unknown(page: int, other: Trace, known: set[Place]) -> Iterator[Finding]:
    new = [place not in known for place in other.places]
    start = 0
    for is_new, group in groupby(new):
        end = start + len(list(group))
        if is_new and any(char.isalpha() for char in other.characters[start:end]):
            yield other.finding(page, "hidden_layer", start, end)
        start = end


def hidden_annotations(page: pymupdf.Page) -> Iterator[Finding]:
    """Annotations and form fields that no viewer shows, and have a text."""
    shown_at = page.number + 1
    for annotation in page.annots():
        text = annotation.info["content"].strip()
        if annotation.flags & _NOT_SHOWN and text:
            yield Finding(shown_at, "hidden_annotation", text, tuple(annotation.rect))
    for field in page.widgets():
        text = str(field.field_value or "").strip()
        if field.field_type == pymupdf.PDF_WIDGET_TYPE_TEXT and text and _not_shown(page, field):
            yield Finding(shown_at, "hidden_annotation", text, tuple(field.rect))


def _not_shown(page: pymupdf.Page, field: pymupdf.Widget) -> bool:
    kind, flags = page.parent.xref_get_key(field.xref, "F")
    return kind == "int" and bool(int(flags) & _NOT_SHOWN)


def false_replacements(
    page: pymupdf.Page, commands: mupdf.FzDisplayList, shown: Trace
) -> list[Finding]:
    """ActualText of marked content with letters that its glyphs don't have."""
    replacements = _Replacements()
    run(commands, replacements)
    findings, stray = [], 0
    for text, box in replacements.found:
        extra = (_letters(text) - _letters(_inside(shown, box))).total()
        if extra:
            stray += extra
            findings.append(Finding(page.number + 1, "actual_text", text, box))
    return findings if stray > _MOST_STRAY_LETTERS else []


def _inside(shown: Trace, box: BBox) -> str:
    x, y = shown.boxes[:, [0, 2]].mean(axis=1), shown.boxes[:, [1, 3]].mean(axis=1)
    inside = (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])
    return "".join(shown.characters[index] for index in inside.nonzero()[0])


def _letters(text: str) -> Counter[str]:
    plain = unicodedata.normalize("NFKD", text).casefold()
    return Counter(char for char in plain if char.isalpha())


class _Replacements(mupdf.FzDevice2):  # type: ignore[misc]
    """Collects replacement texts and where the text that they replace is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.use_virtual_begin_metatext()
        self.use_virtual_end_metatext()
        self.found: list[tuple[str, BBox]] = []
        self._open: list[tuple[str | None, Any]] = []

    def begin_metatext(self, _context: Any, kind: int, text: str) -> None:
        replaces = kind == mupdf.FZ_METATEXT_ACTUALTEXT
        self._open.append((text if replaces else None, mupdf.FzRect(mupdf.FzRect.Fixed_EMPTY)))
        self.use_virtual_fill_text()

    def end_metatext(self, _context: Any) -> None:
        text, box = self._open.pop()
        if text:
            self.found.append((text, (box.x0, box.y0, box.x1, box.y1)))
        self.use_virtual_fill_text(bool(self._open))

    def fill_text(self, _context: Any, text: Any, matrix: Any, *_paint: Any) -> None:
        bounds = mupdf.FzRect(mupdf.ll_fz_bound_text(text, None, matrix))
        self._open = [(what, mupdf.fz_union_rect(box, bounds)) for what, box in self._open]
