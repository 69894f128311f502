"""PDFs made to harm whoever reads them: ``HOSTILE`` maps names to what makes them.

They are small or quick to make: what is large in them is deflated, or repeats.
"""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from functools import partial

import pymupdf

from tests.handmade import MB, PROSE, inflating, page, pdf, stream
from tests.papers import blank_pdf, encrypted_pdf, paper_pdf

_LINE = b"BT /F1 9 Tf 72 700 Td (words and words and words) Tj ET\n"
_FORM = b"/Type /XObject /Subtype /Form /BBox [0 0 612 792]"


def text_bomb(megabytes: int) -> bytes:
    return page(contents=inflating(_LINE, megabytes))


def object_stream_bomb() -> bytes:
    bomb = inflating(b"6 0 7 5 ", 1000, b"/Type /ObjStm /N 100000000 /First 10")
    file = page(b"", bomb)
    return file.replace(b"trailer", b"7 0 obj\n<< /Extends 6 0 R >>\nendobj\ntrailer")


def xref_stream_bomb() -> bytes:
    head = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    entries = b"/Type /XRef /W [1 4 2] /Size 8000000 /Root 1 0 R"
    table = inflating(b"\x01\x00\x00\x00\x09\x00\x00", 1000, entries)
    return head + b"3 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (table, len(head))


def nested_forms(depth: int = 9, times: int = 10) -> bytes:
    """Each form draws the next ``times`` times."""
    forms = [
        stream(b"/X Do " * times, _FORM + b" /Resources << /XObject << /X %d 0 R >> >>" % (7 + i))
        for i in range(depth)
    ]
    last = stream(_LINE, _FORM + b" /Resources << /Font << /F1 5 0 R >> >>")
    return page(b"/X Do\n", *forms, last, resources=b"/XObject << /X 6 0 R >>")


def form_loop(length: int) -> bytes:
    """Forms that draw each other in a ring."""
    forms = [
        stream(_LINE + b"/X Do /X Do", _FORM + b" /Resources << /XObject << /X %d 0 R >> >>" % to)
        for to in [*range(7, 6 + length), 6]
    ]
    return page(b"/X Do\n", *forms, resources=b"/XObject << /X 6 0 R >>")


def page_tree(*nodes: bytes) -> bytes:
    return pdf([b"<< /Type /Catalog /Pages 2 0 R >>", *nodes])


def deep_page_tree(depth: int = 20_000) -> bytes:
    nodes = [
        b"<< /Type /Pages /Kids [%d 0 R] /Count 1 /Parent %d 0 R >>" % (number + 1, number - 1)
        for number in range(2, depth)
    ]
    return page_tree(*nodes, b"<< /Type /Page /MediaBox [0 0 9 9] /Parent %d 0 R >>" % (depth - 1))


def many_pages(pages: int = 50_000) -> bytes:
    kids = b" ".join(b"%d 0 R" % number for number in range(3, 3 + pages))
    leaf = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] >>"
    return page_tree(b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, pages), *[leaf] * pages)


def cyclic_xref() -> bytes:
    file = page()
    start = file.rindex(b"xref\n0 ")
    return file.replace(b"/Size", b"/Prev %d /Size" % start)


def truncated(share: float) -> bytes:
    whole = paper_pdf()
    return whole[: int(len(whole) * share)]


def pdf_and_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("paper.tex", b" " * MB)
    return paper_pdf() + buffer.getvalue()


def image(width: int, height: int, bits: int, filters: bytes = b"", data: bytes = b"") -> bytes:
    """A page with an image of which the header promises more than there is."""
    entries = b"/Subtype /Image /Width %d /Height %d /BitsPerComponent %d /ColorSpace /DeviceRGB"
    entries %= (width, height, bits)
    body = stream(data, entries, filters) if filters else inflating(b"\0", 2700, entries)
    return page(b"q 612 0 0 792 0 0 cm /I Do Q\n", body, resources=b"/XObject << /I 6 0 R >>")


def deep_outline(depth: int = 100_000) -> bytes:
    items = [
        b"<< /Title (t) /Parent %d 0 R /First %d 0 R /Last %d 0 R /Count 1 >>"
        % (n - 1, n + 1, n + 1)
        for n in range(6, 6 + depth)
    ]
    return page(b"", *items, catalogue=b"/Outlines 6 0 R")


def cyclic_outline() -> bytes:
    root = b"<< /First 7 0 R /Last 7 0 R /Count 2 >>"
    item = b"<< /Title (t) /Parent 6 0 R /Next 7 0 R /Prev 7 0 R /First 6 0 R /Last 7 0 R >>"
    return page(b"", root, item, catalogue=b"/Outlines 6 0 R")


def many_fonts(fonts: int = 5_000) -> bytes:
    names = b" ".join(b"/G%d %d 0 R" % (n, 6 + n) for n in range(fonts))
    shown = b"".join(b"/G%d 9 Tf (font) Tj " % n for n in range(fonts))
    font = b"<< /Type /Font /Subtype /TrueType /BaseFont /Font%d >>"
    fonts_of_page = b"/Font << /F1 5 0 R %s >>" % names
    return page(
        b"BT 72 500 Td %s ET" % shown, *(font % n for n in range(fonts)), resources=fonts_of_page
    )


def drawing_itself() -> bytes:
    """A Type 3 font whose only glyph shows itself."""
    font = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 9 9] /FontMatrix [.1 0 0 .1 0 0] "
        b"/CharProcs << /a 7 0 R >> /Encoding << /Differences [97 /a] >> /FirstChar 97 "
        b"/LastChar 97 /Widths [9] /Resources << /Font << /F2 6 0 R >> >> >>"
    )
    glyph = stream(b"9 0 d0 BT /F2 9 Tf (aaaaaaaaaa) Tj ET")
    return page(b"BT /F2 9 Tf 72 500 Td (aaaaaaaaaa) Tj ET", font, glyph)


def nested_object(opening: bytes, closing: bytes, depth: int = MB) -> bytes:
    return page(b"", opening * depth + closing * depth, entries=b"/Nested 6 0 R")


def many_annotations(annotations: int = 100_000) -> bytes:
    note = (
        b"<< /Type /Annot /Subtype /FreeText /Rect [9 9 99 99] /Contents (note) /DA (/F1 9 Tf) >>"
    )
    listed = b" ".join(b"%d 0 R" % number for number in range(7, 7 + annotations))
    return page(b"", b"[%s]" % listed, *[note] * annotations, entries=b"/Annots 6 0 R")


def encrypted_without_password() -> bytes:
    with pymupdf.open(stream=paper_pdf(), filetype="pdf") as document:
        data: bytes = document.tobytes(encryption=pymupdf.PDF_ENCRYPT_AES_256, owner_pw="owner")
        return data


def with_attachment() -> bytes:
    file = b"<< /Type /Filespec /F (run.exe) /EF << /F 7 0 R >> >>"
    names = b"/Names << /EmbeddedFiles << /Names [(run.exe) 6 0 R] >> >>"
    return page(b"", file, inflating(b"MZ", 1000, b"/Type /EmbeddedFile"), catalogue=names)


def with_action(action: bytes) -> bytes:
    return page(b"", b"<< %s /Next 6 0 R >>" % action, catalogue=b"/OpenAction 6 0 R")


def pattern_loop() -> bytes:
    entries = (
        b"/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 9 9] /XStep .01 "
        b"/YStep .01 /Resources << /Pattern << /P 6 0 R >> >>"
    )
    fill = b"/Pattern cs /P scn 0 0 612 792 re f\n"
    return page(fill, stream(fill, entries), resources=b"/Pattern << /P 6 0 R >>")


def soft_mask_loop() -> bytes:
    state = b"<< /Type /ExtGState /SMask << /S /Luminosity /G 7 0 R >> >>"
    group = b" /Group << /S /Transparency >> /Resources << /ExtGState << /S 6 0 R >> >>"
    mask = stream(b"/S gs 0 0 612 792 re f", _FORM + group)
    return page(b"/S gs " + _LINE, state, mask, resources=b"/ExtGState << /S 6 0 R >>")


def shading_bomb() -> bytes:
    """A function-based shading; the function is a program of a million steps."""
    shading = b"<< /ShadingType 1 /ColorSpace /DeviceGray /Function 7 0 R >>"
    steps = b"{ " + b"pop dup dup mul sqrt " * 200_000 + b" }"
    function = stream(steps, b"/FunctionType 4 /Domain [0 1 0 1] /Range [0 1]")
    return page(b"/S sh", shading, function, resources=b"/Shading << /S 6 0 R >>")


def to_unicode(cmap: bytes) -> bytes:
    """Prose in a font that tells what its codes mean by ``cmap``."""
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 7 0 R >>"
    head = b"/CIDInit /ProcSet findresource begin begincmap\n"
    shown = PROSE.replace(b"/F1", b"/F2")
    return page(shown, font, stream(head + cmap + b"\nendcmap end"))


def hidden_layers_loop() -> bytes:
    membership = b"<< /Type /OCMD /VE [/And 7 0 R] /OCGs [6 0 R] >>"
    return page(
        b"/OC /L BDC " + _LINE + b"EMC",
        membership,
        b"[/Or 7 0 R [/Not 7 0 R] 6 0 R]",
        resources=b"/Properties << /L 6 0 R >>",
        catalogue=b"/OCProperties << /OCGs [6 0 R] /D << /Order [7 0 R] >> >>",
    )


def repeated_contents(times: int = 100_000) -> bytes:
    return page(b"", stream(PROSE), contents=b"[%s]" % (b"6 0 R " * times))


def numbers_bomb() -> bytes:
    """A predictor and a width at the limits of an int."""
    parameters = b"/DecodeParms << /Predictor 12 /Columns 2147483647 /Colors 2147483647 >>"
    return page(contents=stream(b"x" * 1000, parameters))


def random_bytes(seed: int) -> bytes:
    return b"%PDF-1.7\n" + random.Random(seed).randbytes(MB)  # noqa: S311


HOSTILE: dict[str, Callable[[], bytes]] = {
    "text of 100 MB": partial(text_bomb, 100),
    "text of 1 GB": partial(text_bomb, 1000),
    "white space of 1 GB": lambda: page(contents=inflating(b" ", 1000)),
    "graphics states, a million": lambda: page(b"q " * MB),
    "spans, a million": lambda: page(b"BT /F1 1 Tf " + b"1 0 Td (a) Tj " * MB + b"ET"),
    "object stream of 1 GB": object_stream_bomb,
    "cross-reference stream of 1 GB": xref_stream_bomb,
    "forms, a thousand million": nested_forms,
    "a form that draws itself": partial(form_loop, 1),
    "forms in a ring": partial(form_loop, 20),
    "page tree in a loop": lambda: page_tree(b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"),
    "page tree of 20,000 levels": deep_page_tree,
    "a thousand million pages": lambda: page_tree(b"<< /Type /Pages /Kids [] /Count 1000000000 >>"),
    "minus one page": lambda: page_tree(b"<< /Type /Pages /Kids [] /Count -1 >>"),
    "50,000 pages": many_pages,
    "cyclic cross-references": cyclic_xref,
    "truncated at 10 %": partial(truncated, 0.1),
    "truncated at 50 %": partial(truncated, 0.5),
    "truncated at 95 %": partial(truncated, 0.95),
    "HTML, then PDF": lambda: b"<html><body><script>alert(1)</script>" + paper_pdf(),
    "GIF, then PDF": lambda: b"GIF89a\x01\x00\x01\x00\x00\x00\x00" + paper_pdf(),
    "PDF, then ZIP": pdf_and_zip,
    "HTML": lambda: b"<html><body>" + b"<p>Words.</p>" * 9999,
    "HTML that mentions PDF": lambda: b"<html><!-- %PDF-1.7 --><body>" + b"<p>Words.</p>" * 9999,
    "image of 2.7 GB": partial(image, 30_000, 30_000, 8),
    "image of 5 GB, in CCITT": partial(image, 60_000, 60_000, 1, b"/CCITTFaxDecode", b"\0" * 99),
    "JBIG2 of noise": partial(image, 30_000, 30_000, 1, b"/JBIG2Decode", bytes(range(256)) * 40),
    "JPEG 2000 of noise": partial(image, 30_000, 30_000, 8, b"/JPXDecode", bytes(range(256)) * 40),
    "outline of 100,000 levels": deep_outline,
    "outline in a loop": cyclic_outline,
    **{
        f"page of {box.decode()}": partial(page, box=b"[%s]" % box)
        for box in (
            b"0 0 1000000000 1000000000",
            b"0 0 nan nan",
            b"0 0 0 0",
            b"612 792 0 0",
            b"-1e38 -1e38 1e38 1e38",
            b"0 0",
        )
    },
    "font of 1e9 points": lambda: page(b"BT /F1 1e9 Tf 72 500 Td (large) Tj ET"),
    "font of 1e-9 points": lambda: page(b"BT /F1 1e-9 Tf 72 500 Td (small) Tj ET"),
    "matrix of infinities": lambda: page(b"1e38 0 0 1e38 0 0 cm " * 9 + _LINE),
    "5,000 fonts": many_fonts,
    "a font that draws itself": drawing_itself,
    "arrays, a million deep": partial(nested_object, b"[", b"]"),
    "dictionaries, a million deep": partial(nested_object, b"<</A", b">>"),
    "arrays, a million deep, on the page": lambda: page(b"[" * MB),
    "a name of 10 MB": lambda: page(b"/%s Do" % (b"N" * 10 * MB)),
    "a string of 50 MB": lambda: page(b"BT /F1 9 Tf (%s) Tj ET" % (b"s" * 50 * MB)),
    "100,000 annotations": many_annotations,
    "encrypted, opens without a password": encrypted_without_password,
    "encrypted": encrypted_pdf,
    "JavaScript": partial(with_action, b"/S /JavaScript /JS (while(1){app.alert(1)})"),
    "a program to launch": partial(with_action, b"/S /Launch /F (/bin/sh)"),
    "an attachment of 1 GB": with_attachment,
    "pattern that paints itself": pattern_loop,
    "soft mask that masks itself": soft_mask_loop,
    "shading of a million steps": shading_bomb,
    "ToUnicode of 100 MB": lambda: to_unicode(
        b"100 beginbfrange\n" + b"<00> <ff> <%s>\n" % (b"0041" * 500) * 50_000 + b"endbfrange"
    ),
    "ToUnicode that uses itself": lambda: to_unicode(b"/CMap 7 0 R usecmap " * 9999),
    "ToUnicode of surrogates": lambda: to_unicode(b"1 beginbfrange <00> <ff> <d800> endbfrange"),
    "ToUnicode of NULs": lambda: to_unicode(b"1 beginbfchar <72> <0000> endbfchar"),
    "layers in a loop": hidden_layers_loop,
    "contents repeated 100,000 times": repeated_contents,
    "predictor of 2^62 bytes": numbers_bomb,
    "random bytes": partial(random_bytes, 1),
    "empty pages": partial(blank_pdf, 100),
    "nothing but a header": lambda: b"%PDF-1.7\n",
    "nothing": lambda: b"",
}
