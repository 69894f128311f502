"""PDFs for the tests, typeset with PyMuPDF: ``python -m tests.papers`` renews the example."""

from __future__ import annotations

import io
from pathlib import Path

import pymupdf

EXAMPLES = Path(__file__).parents[1] / "examples"
A4 = pymupdf.paper_rect("a4")
MARGINS = (72, 72, -72, -72)


def typeset(html: str) -> bytes:
    """A PDF of as many A4 pages as the text needs."""
    story = pymupdf.Story(html=html)
    buffer = io.BytesIO()
    writer = pymupdf.DocumentWriter(buffer)
    more = True
    while more:
        device = writer.begin_page(A4)
        more, _ = story.place(A4 + MARGINS)
        story.draw(device)
        writer.end_page()
    writer.close()
    return buffer.getvalue()


def paper_html(
    title: str = "Counting Tokens Twice Is Once Too Often",
    abstract: str = "We measure what it costs to count tokens twice, and show that once is enough.",
    words_per_section: int = 120,
    sections: tuple[str, ...] = ("Introduction", "Method", "Experiments", "Conclusion"),
    references: bool = True,
) -> str:
    """A paper's HTML; every section's words tell which section they belong to."""
    parts = [f"<h1>{title}</h1><p>Jane Doe</p><h2>Abstract</h2><p>{abstract}</p>"]
    for number, name in enumerate(sections, start=1):
        words = " ".join(f"{name.lower()}{word}" for word in range(words_per_section))
        parts.append(f"<h2>{number} {name}</h2><p>{words}.</p>")
    if references:
        parts.append("<h2>References</h2><p>[1] Nobody. Nothing at all. Nowhere, 2020.</p>")
    return "".join(parts)


def paper_pdf(title: str = "Counting Tokens Twice Is Once Too Often") -> bytes:
    return typeset(paper_html(title))


def blank_pdf(pages: int = 1) -> bytes:
    with pymupdf.open() as document:
        for _ in range(pages):
            document.new_page()
        data: bytes = document.tobytes()
        return data


def encrypted_pdf() -> bytes:
    with pymupdf.open(stream=paper_pdf(), filetype="pdf") as document:
        data: bytes = document.tobytes(
            encryption=pymupdf.PDF_ENCRYPT_AES_256, owner_pw="owner", user_pw="user"
        )
        return data


if __name__ == "__main__":
    source = (EXAMPLES / "paper.html").read_text(encoding="utf-8")
    (EXAMPLES / "paper.pdf").write_bytes(typeset(source))
