"""Finds text of a page that is invisible when the page is rendered.

Every glyph is examined: how it is painted, its size and position, its colour and the background's,
whether it changes the rendered page, and whether it looks like the letter that it stands for.
Hidden layers, annotations and replacement texts are reported as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pymupdf
from pymupdf import mupdf

from app.paper.hidden.concealed import (
    Layers,
    clipped_away,
    false_replacements,
    hidden_annotations,
)
from app.paper.hidden.detectors import HiddenGlyphs, detect
from app.paper.hidden.glyphs import GlyphShapes
from app.paper.hidden.rendering import Rendering, render
from app.paper.hidden.trace import Trace, place_of, trace
from app.paper.model import Finding
from app.paper.pdf.lines import FLAGS, SpanKey

_CLIP = mupdf.FZ_STEXT_CLIPPED
_LEAST_CONTRAST = 24
"""Of 255: least range of a colour channel where something is visible."""


@dataclass(frozen=True, slots=True)
class PageFindings:
    """``hidden`` are the findings, with positions as in ``page.get_text``. ``visible`` has the
    visible text of each span that is hidden in whole or in part.
    """

    hidden: tuple[Finding, ...] = ()
    visible: Mapping[SpanKey, str] = field(default_factory=dict)


class Inspector:
    """Inspects the pages of one document."""

    def __init__(self, document: pymupdf.Document) -> None:
        self._shapes = GlyphShapes()
        self._layers = Layers(document)

    def inspect(self, page: pymupdf.Page, content: Mapping[str, Any]) -> PageFindings:
        """Inspect a page; ``content`` is ``page.get_text("dict", flags=FLAGS)``."""
        rotation = page.rotation
        if not rotation:
            return self._inspect(page, content)
        page.set_rotation(0)
        try:
            return self._inspect(page, content)
        finally:
            page.set_rotation(rotation)

    def _inspect(self, page: pymupdf.Page, content: Mapping[str, Any]) -> PageFindings:
        commands = page.get_displaylist().this
        shown = trace(page, commands)
        rendering = render(commands)
        found = detect(page, shown, rendering, self._shapes)
        visible: dict[SpanKey, str] = {}
        clips: tuple[Finding, ...] = ()
        if found.any or _has_clips(content):
            text = page.get_text("rawdict", flags=FLAGS)
            visible = _visible_parts(text, shown, found)
            empty = dict(_empty_clips(text, rendering))
            visible |= dict.fromkeys(empty, "")
            clips = tuple(_finding(page, "render_mode", span) for span in empty.values())
        findings = (
            *found.findings(page.number + 1),
            *clips,
            *clipped_away(page, shown),
            *self._layers.findings(page, shown),
            *hidden_annotations(page),
            *false_replacements(page, commands, shown),
        )
        return PageFindings(findings, visible)


def _has_clips(content: Mapping[str, Any]) -> bool:
    """Whether text is used as a clip, which the trace leaves out."""
    return any(
        span["char_flags"] & _CLIP
        for block in content["blocks"]
        for line in block["lines"]
        for span in line["spans"]
    )


def _visible_parts(
    text: Mapping[str, Any], shown: Trace, found: HiddenGlyphs
) -> dict[SpanKey, str]:
    """The visible text of those spans of ``text`` ("rawdict") that have hidden characters."""
    hidden = {place for place, code in zip(shown.places, found.codes, strict=True) if code}
    visible: dict[SpanKey, str] = {}
    for key, span in _spans(text):
        kept, was_kept = [], True
        for char in span["chars"]:
            is_hidden = place_of(char["c"], *char["origin"]) in hidden
            # Spaces that the extraction inserted belong to the word before them.
            was_kept = was_kept if char["synthetic"] else not is_hidden
            if was_kept:
                kept.append(char["c"])
        if len(kept) < len(span["chars"]):
            visible[key] = "".join(kept)
    return visible


def _empty_clips(
    text: Mapping[str, Any], rendering: Rendering
) -> Iterator[tuple[SpanKey, Mapping[str, Any]]]:
    """Spans that are only a clip, without anything visible at the place of most letters.

    Text is filled with patterns and images through clips, which the trace leaves out.
    """
    for key, span in _spans(text):
        if span["char_flags"] & _CLIP:
            letters = [char["bbox"] for char in span["chars"] if char["c"].isalnum()]
            contrast = rendering.contrast(np.array(letters, float).reshape(-1, 4))
            if letters and (contrast > _LEAST_CONTRAST).mean() < 0.8:
                yield key, span


def _finding(page: pymupdf.Page, kind: str, span: Mapping[str, Any]) -> Finding:
    text = "".join(char["c"] for char in span["chars"]).strip()
    return Finding(page.number + 1, kind, text, tuple(span["bbox"]))


def _spans(text: Mapping[str, Any]) -> Iterator[tuple[SpanKey, Mapping[str, Any]]]:
    for block_number, block in enumerate(text["blocks"]):
        for line_number, line in enumerate(block["lines"]):
            for span_number, span in enumerate(line["spans"]):
                yield (block_number, line_number, span_number), span
