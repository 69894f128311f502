"""Renders a page with and without its text. Text is visible where the two differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pymupdf
from numpy.typing import NDArray
from pymupdf import mupdf

from app.paper.model import BBox

Pixels = NDArray[np.uint8]

_MOST_PIXELS = 4_000_000
"""A page with more pixels at 72 dpi is rendered at a lower resolution, to limit memory."""
_FAINTEST_INK = 10
"""Text is visible at a pixel if it changes a channel by more than this, of 255."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """A rendered page, at ``zoom`` pixels per point from its upper left corner.

    ``background`` is the page without its text, (height, width, 3). ``ink`` is a summed-area table,
    (height + 1, width + 1), of the pixels that the text changes visibly.
    """

    commands: mupdf.FzDisplayList
    zoom: float
    background: Pixels
    ink: NDArray[np.int32]

    def inked(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """For each box of (n, 4), in points, whether the text changes a pixel in it."""
        x0, y0, x1, y1 = self._corners(boxes)
        ink = self.ink
        return np.asarray(ink[y1, x1] - ink[y0, x1] - ink[y1, x0] + ink[y0, x0] > 0)

    def contrast(self, boxes: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The largest range of a colour channel in each box of the background."""
        ranges = np.zeros(len(boxes), np.uint8)
        for index, (x0, y0, x1, y1) in enumerate(zip(*self._corners(boxes), strict=True)):
            cut = self.background[y0:y1, x0:x1].reshape(-1, 3)
            ranges[index] = (cut.max(0) - cut.min(0)).max() if len(cut) else 0
        return ranges

    def behind(self, points: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The background's colours, (n, 3), at points (n, 2)."""
        height, width, _ = self.background.shape
        x = np.clip(points[:, 0] * self.zoom, 0, width - 1).astype(np.intp)
        y = np.clip(points[:, 1] * self.zoom, 0, height - 1).astype(np.intp)
        return np.asarray(self.background[y, x])

    def operations(self) -> list[tuple[str, BBox]]:
        """All drawing operations of the page in order: kind, and box in points."""
        log: list[tuple[str, BBox]] = []
        run(self.commands, pymupdf.JM_new_bbox_device(log, False))
        return log

    def _corners(self, boxes: NDArray[np.float64]) -> tuple[NDArray[np.intp], ...]:
        """The pixels on the page that the boxes touch, at least one for each."""
        height, width, _ = self.background.shape
        scaled = np.clip(boxes * self.zoom, -1e6, 1e6)
        x0 = np.clip(np.floor(scaled[:, 0]), 0, width - 1).astype(np.intp)
        y0 = np.clip(np.floor(scaled[:, 1]), 0, height - 1).astype(np.intp)
        x1 = np.clip(np.ceil(scaled[:, 2]), x0 + 1, width).astype(np.intp)
        y1 = np.clip(np.ceil(scaled[:, 3]), y0 + 1, height).astype(np.intp)
        return x0, y0, x1, y1


def render(commands: mupdf.FzDisplayList) -> Rendering:
    """Render a page's display list at 72 dpi, or less for a huge page."""
    bounds = mupdf.fz_bound_display_list(commands)
    area = max(1.0, (bounds.x1 - bounds.x0) * (bounds.y1 - bounds.y0))
    zoom = min(1.0, (_MOST_PIXELS / area) ** 0.5)
    page = _drawn(commands, zoom, with_text=True)
    background = _drawn(commands, zoom, with_text=False)
    change = np.maximum(page, background) - np.minimum(page, background)
    visible = (change[..., 0] | change[..., 1] | change[..., 2]) > _FAINTEST_INK
    ink = np.zeros((visible.shape[0] + 1, visible.shape[1] + 1), np.int32)
    np.cumsum(visible, axis=0, dtype=np.int32, out=ink[1:, 1:])
    np.cumsum(ink[1:, 1:], axis=1, out=ink[1:, 1:])
    return Rendering(commands, zoom, background, ink)


def _drawn(commands: mupdf.FzDisplayList, zoom: float, *, with_text: bool) -> Pixels:
    scale = mupdf.fz_scale(zoom, zoom)
    bounds = mupdf.fz_transform_rect(mupdf.fz_bound_display_list(commands), scale)
    pixmap = blank_pixmap(mupdf.FzColorspace.Fixed_RGB, mupdf.fz_round_rect(bounds))
    device = mupdf.fz_new_draw_device(scale, pixmap)
    if not with_text:
        # MuPDF skips operations that a device has no function for.
        device.m_internal.fill_text = None
        device.m_internal.stroke_text = None
    run(commands, device)
    return pixels(pixmap)


def run(commands: mupdf.FzDisplayList, device: mupdf.FzDevice) -> None:
    """Run a display list on a device, and close the device."""
    everything = mupdf.FzRect(mupdf.FzRect.Fixed_INFINITE)
    mupdf.fz_run_display_list(commands, device, mupdf.FzMatrix(), everything, mupdf.FzCookie())
    mupdf.fz_close_device(device)


def blank_pixmap(colours: int, bounds: mupdf.FzIrect) -> Any:
    """A white pixmap without transparency."""
    pixmap = mupdf.FzPixmap(mupdf.FzColorspace(colours), bounds, mupdf.FzSeparations(), 0)
    mupdf.fz_clear_pixmap_with_value(pixmap, 255)
    return pixmap


def pixels(pixmap: mupdf.FzPixmap) -> Pixels:
    """A pixmap's samples as an array (height, width, channels)."""
    wrapped = pymupdf.Pixmap("raw", pixmap)
    return np.frombuffer(wrapped.samples, np.uint8).reshape(wrapped.height, wrapped.width, -1)
