"""PDFs put together object by object, for what no library would write."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

MB = 1_000_000
_WORDS = b"(Whoever reads this far has read a paper that means no good at all.) Tj "
PROSE = b"BT /F1 11 Tf 14 TL 72 700 Td " + (_WORDS + b"T* ") * 8 + b"ET\n"
"""A page's content: text enough to be taken for a paper's."""


def pdf(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A file of objects 1, 2, ...; the first is the catalogue."""
    data = bytearray(b"%PDF-1.7\n")
    table = bytearray(b"0000000000 65535 f \n")
    for number, body in enumerate(objects, start=1):
        table += b"%010d 00000 n \n" % len(data)
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    size, start = len(objects) + 1, len(data)
    data += b"xref\n0 %d\n%strailer\n" % (size, table)
    data += b"<< /Root 1 0 R /Size %d %s >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, start)
    return bytes(data)


def page(
    content: bytes = b"",
    *more: bytes,
    contents: bytes = b"",
    resources: bytes = b"",
    entries: bytes = b"",
    catalogue: bytes = b"",
    box: bytes = b"[0 0 612 792]",
) -> bytes:
    """One page: prose, then ``content``, or the object ``contents``; ``more`` are objects 6, ..."""
    return pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalogue,
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox %s /Contents 4 0 R "
            b"/Resources << /Font << /F1 5 0 R /F2 6 0 R >> %s >> %s >>"
            % (box, resources, entries),
            contents or stream(PROSE + content),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            *more,
        ]
    )


def stream(data: bytes, entries: bytes = b"", filters: bytes = b"") -> bytes:
    """A stream; it is deflated here unless ``filters`` say what ``data`` is."""
    if not filters:
        data, filters = zlib.compress(data), b"/FlateDecode"
    head = b"<< /Length %d /Filter %s %s >>" % (len(data), filters, entries)
    return b"%s\nstream\n%s\nendstream" % (head, data)


def inflating(unit: bytes, megabytes: int, entries: bytes = b"") -> bytes:
    """A stream of a few kilobytes that repeats ``unit`` when inflated, twice."""
    unit *= max(1, MB // len(unit))
    deflate = zlib.compressobj(9)
    data = deflate.compress(unit) + deflate.flush(zlib.Z_FULL_FLUSH)
    # After a full flush a block does not look back: it can be repeated as it is.
    block = deflate.compress(unit) + deflate.flush(zlib.Z_FULL_FLUSH)
    data += block * (megabytes - 1) + deflate.flush()
    return stream(zlib.compress(data, 9), entries, b"[/FlateDecode /FlateDecode]")
