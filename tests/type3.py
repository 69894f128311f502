"""A page in a font of bitmaps, as dvips makes them from TeX's: its letters are upside down in the
font's own space, and the page's text matrix turns them back."""

from __future__ import annotations

import pymupdf

from tests.handmade import page, stream

_SIDE, _EM = 48, 40
"""Pixels of a letter's bitmap, and of the em it was drawn at."""


def page_in_bitmap_letters(texts: list[str], size: float = 11) -> bytes:
    """Each text on a line of its own."""
    letters = sorted(set("".join(texts)) - {" "})
    face = pymupdf.Font("tiro")
    widths = [round(face.glyph_advance(ord(letter)) * _EM) for letter in letters]
    programs = [_bitmap(letter, width) for letter, width in zip(letters, widths, strict=True)]
    names = [b"/a%d" % ord(letter) for letter in letters]
    refs = b" ".join(name + b" %d 0 R" % (7 + at) for at, name in enumerate(names))
    codes = b" ".join(b"%d %s" % (ord(c), n) for c, n in zip(letters, names, strict=True))
    first, last = ord(letters[0]), ord(letters[-1])
    by_code = dict(zip(map(ord, letters), widths, strict=True))
    all_widths = b" ".join(b"%d" % by_code.get(code, 0) for code in range(first, last + 1))
    table = "\n".join(f"<{ord(c):02X}> <{ord(c):04X}>" for c in letters).encode()
    font = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 -%d %d %d] /FontMatrix [%f 0 0 %f 0 0] "
        b"/FirstChar %d /LastChar %d /Widths [%s] /CharProcs << %s >> /ToUnicode %d 0 R "
        b"/Encoding << /Type /Encoding /Differences [%s] >> /Resources << >> >>"
        % (_SIDE, _SIDE, _SIDE, 1 / _EM, -1 / _EM, first, last, all_widths, refs,
           7 + len(letters), codes)
    )  # fmt: skip
    cmap = stream(b"begincmap 1 begincodespacerange <00> <FF> endcodespacerange\n"
                  b"%d beginbfchar\n%s\nendbfchar endcmap" % (len(letters), table))  # fmt: skip
    lines = []
    for at, text in enumerate(texts):
        x = 72.0
        for word in text.split():
            lines.append(b"BT /F2 1 Tf %f 0 0 -%f %f %f Tm (%s) Tj ET"
                         % (size, size, x, 500 - 1.3 * size * at, word.encode()))  # fmt: skip
            x += (face.text_length(word, 1) + 0.3) * size
    return page(b"\n".join(lines) + b"\n", font, *programs, cmap)


def _bitmap(letter: str, width: int) -> bytes:
    """A letter's program: its width and box, and its pixels as a mask."""
    with pymupdf.open() as document:
        sheet = document.new_page(width=_SIDE, height=_SIDE)
        sheet.insert_text((0, 36), letter, fontname="tiro", fontsize=_EM)
        pixels = sheet.get_pixmap(colorspace=pymupdf.csGRAY)
    rows = []
    for y in range(_SIDE):
        row = pixels.samples[y * pixels.stride : y * pixels.stride + _SIDE]
        bits = "".join("0" if value < 128 else "1" for value in row)
        rows.append(int(bits, 2).to_bytes(_SIDE // 8, "big"))
    head = b"%d 0 0 -12 %d 36 d1 %d 0 0 %d 0 -12 cm " % (width, _SIDE, _SIDE, _SIDE)
    image = b"BI /W %d /H %d /IM true /BPC 1 ID " % (_SIDE, _SIDE) + b"".join(rows) + b"\nEI"
    return stream(head + image)
