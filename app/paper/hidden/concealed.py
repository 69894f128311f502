"""Finds text that is neither shown nor extracted, so it is only reported.

This is text in hidden layers, text outside of a clip, hidden annotations, and replacement texts
(ActualText) that differ from their glyphs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

import pymupdf
from pymupdf import mupdf

from app.paper.hidden.rendering import run
from app.paper.hidden.trace import Place, Trace, trace
from app.paper.model import BBox, Finding

_NOT_SHOWN = pymupdf.PDF_ANNOT_IS_HIDDEN | pymupdf.PDF_ANNOT_IS_NO_VIEW
_LONGEST_COMPARED = 500
"""Maximum number of letters that are compared, as this takes quadratic time."""
_MOST_STRAY_LETTERS = 10
"""Number of letters on a page that may be in replacement texts and not in their glyphs, as with
ligatures and spelled-out signs."""


class Layers:
    """The optional content (layers) of a document."""

    def __init__(self, document: pymupdf.Document) -> None:
        groups = document.get_ocgs()
        vary = any(not group["on"] for group in groups.values())
        self._variants: list[pymupdf.Document] = []
        if vary or (groups and _has_membership_rules(document)):
            self._variants = [_all_layers(document, state) for state in ("ON", "OFF")]

    def findings(self, page: pymupdf.Page, shown: Trace) -> Iterator[Finding]:
        """Text that is shown only with all layers on or all layers off."""
        known = set(shown.places) if self._variants else set()
        for variant in self._variants:
            other = variant[page.number]
            other.set_rotation(0)
            drawn = trace(other, other.get_displaylist().this)
            yield from _unknown(page.number + 1, drawn, known, "hidden_layer")
            known.update(drawn.places)


def clipped_away(page: pymupdf.Page, shown: Trace) -> Iterator[Finding]:
    """Text that is completely outside of a clip."""
    if shown.is_clipped:
        drawn = Trace.of_page(page)
        yield from _unknown(page.number + 1, drawn, set(shown.places), "clipped")


def _all_layers(document: pymupdf.Document, state: str) -> pymupdf.Document:
    """A copy of the document with all layers on or off; MuPDF reads their states only once."""
    variant = pymupdf.open(stream=document.stream or document.tobytes(), filetype="pdf")
    groups = " ".join(f"{xref} 0 R" for xref in document.get_ocgs())
    variant.xref_set_key(
        variant.pdf_catalog(), "OCProperties", f"<</OCGs[{groups}]/D<</BaseState/{state}>>>>"
    )
    return variant


def _has_membership_rules(document: pymupdf.Document) -> bool:
    """Whether some content is shown only if a layer is off."""
    for xref in range(1, document.xref_length()):
        if document.xref_get_key(xref, "Type")[1] == "/OCMD":
            policy = document.xref_get_key(xref, "P")[1]
            if policy in ("/AllOff", "/AnyOff") or document.xref_get_key(xref, "VE")[0] != "null":
                return True
    return False


def _unknown(page: int, other: Trace, known: set[Place], kind: str) -> Iterator[Finding]:
    new = [place not in known for place in other.places]
    start = 0
    for is_new, group in groupby(new):
        end = start + len(list(group))
        if is_new and any(char.isalpha() for char in other.characters[start:end]):
            yield other.finding(page, kind, start, end)
        start = end


def hidden_annotations(page: pymupdf.Page) -> Iterator[Finding]:
    """Annotations and form fields with text that viewers do not show."""
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
    """ActualText with letters that its glyphs do not have."""
    replacements = _Replacements()
    run(commands, replacements)
    findings, stray = [], 0
    for text, box in replacements.found:
        extra = _strays(_letters(text), _letters(_inside(shown, box)))
        if extra:
            stray += extra
            findings.append(Finding(page.number + 1, "actual_text", text, box))
    return findings if stray > _MOST_STRAY_LETTERS else []


def _inside(shown: Trace, box: BBox) -> str:
    x, y = shown.boxes[:, [0, 2]].mean(axis=1), shown.boxes[:, [1, 3]].mean(axis=1)
    inside = (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])
    return "".join(shown.characters[index] for index in inside.nonzero()[0])


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(filter(str.isalpha, plain))


def _strays(claimed: str, drawn: str) -> int:
    """The number of claimed letters that are not drawn, considering their order."""
    claimed, drawn = claimed[:_LONGEST_COMPARED], drawn[:_LONGEST_COMPARED]
    matcher = SequenceMatcher(None, claimed, drawn, autojunk=False)
    return len(claimed) - sum(block.size for block in matcher.get_matching_blocks())


class _Replacements(mupdf.FzDevice2):  # type: ignore[misc]  # MuPDF has no types
    """Collects replacement texts with the positions of the text that they replace."""

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
