"""Papers typeset in the looks of four venues, as submitted for blind review and as published.

What a venue prints on a paper, and the strings that give it away, are those of its style files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pymupdf

Status = Literal["submission", "camera_ready"]
AUTHORS = ("Jane Q. Doe", "Kwame Example-Nkrumah")
AFFILIATION = "Department of Examples, University of Somewhere"
EMAILS = "{jane,kwame}@cs.somewhere.edu"
CODE = "https://github.com/janedoe/ourcode"
THANKS = "We thank Ada Lovelace and the Example Foundation under grant 1234567."
_WIDTH, _HEIGHT = 612.0, 792.0
_LINE = 11.0
"""From one line to the next, in points."""


@dataclass(frozen=True, slots=True)
class Venue:
    """Where a venue puts what. Banners are (submission, camera-ready)."""

    name: str
    columns: int
    heads: tuple[str, str]
    """On top of every page."""
    feet: tuple[str, str]
    """At the foot of the first page."""
    anonymous: str
    margins: tuple[float, ...]
    """x of the line numbers of a submission."""
    notes: tuple[str, ...] = ()
    """At the foot of the first page of a published paper."""


VENUES = (
    Venue(
        "ICLR",
        1,
        ("Under review as a conference paper at ICLR 2025",
         "Published as a conference paper at ICLR 2025"),
        ("", ""),
        "Anonymous authors<br/>Paper under double-blind review",
        (60.0,),
        ("<sup>∗</sup>Equal contribution.",),
    ),
    Venue(
        "NeurIPS",
        1,
        ("", ""),
        ("Submitted to 39th Conference on Neural Information Processing Systems (NeurIPS 2025). "
         "Do not distribute.",
         "39th Conference on Neural Information Processing Systems (NeurIPS 2025)."),
        "Anonymous Author(s)<br/>Affiliation<br/>Address<br/>email",
        (60.0,),
        ("<sup>†</sup>Corresponding author.",),
    ),
    Venue(
        "ICML",
        2,
        ("", ""),
        ("Preliminary work. Under review by the International Conference on Machine Learning "
         "(ICML). Do not distribute.",
         "Proceedings of the 41st International Conference on Machine Learning, Vienna, Austria. "
         "PMLR 235, 2024. Copyright 2024 by the author(s)."),
        "Anonymous Authors<sup>1</sup>",
        (40.0, 570.0),
        ("<sup>1</sup>" + AFFILIATION + ". Correspondence to: Jane Q. Doe "
         "&lt;jane@cs.somewhere.edu&gt;.",),
    ),
    Venue(
        "ACL",
        2,
        ("", ""),
        ("",
         "Proceedings of the 62nd Annual Meeting of the Association for Computational Linguistics, "
         "pages 1234–1245, August 11-16, 2024 ©2024 Association for Computational Linguistics"),
        "Anonymous ACL submission",
        (40.0, 570.0),
        ("<sup>∗</sup>Work done during an internship at Acme Research.",),
    ),
)  # fmt: skip

IDENTITY = (
    *AUTHORS, "University of Somewhere", "somewhere.edu", "janedoe", "Lovelace", "1234567",
    "Anonymous", "double-blind", "Under review", "Published as", "Proceedings of the",
    "Preliminary work", "Do not distribute", "Submitted to", "39th Conference", "Copyright",
    "©", "Equal contribution", "Corresponding author", "Correspondence to", "internship",
    "Claims: Yes",
)  # fmt: skip
"""What may not survive blinding, whatever the venue and the status."""

BODY = (
    ("1 Introduction", "Readers of papers want to know what a paper says. "),
    ("2 Method", "The method reads each page once and forgets none of it. "),
    ("3 Experiments", "In all of our experiments the method reads what there is to read. "),
    ("4 Conclusion", "A paper that is read is better than one that is not. "),
)
TITLE = "Reading Papers Without Knowing Who Wrote Them"
ABSTRACT = "We read papers and forget their authors. Reading works better than not reading at all."


def typeset(venue: Venue, status: Status) -> bytes:
    """The paper as the venue's style sets it."""
    published = status == "camera_ready"
    with pymupdf.open() as document:
        first = document.new_page(width=_WIDTH, height=_HEIGHT)
        _front(first, venue, published=published)
        texts = [_section(*section) for section in BODY]
        _columns(first, venue, 260, [texts[0], texts[1]])
        second = document.new_page(width=_WIDTH, height=_HEIGHT)
        _columns(second, venue, 80, [texts[2], texts[3] + _back_matter(published=published)])
        third = document.new_page(width=_WIDTH, height=_HEIGHT)
        _columns(third, venue, 80, ["<h3>A Proofs</h3><p>" + "They hold. " * 60 + "</p>", ""])
        for page in document:
            _furniture(page, venue, published=published)
        data: bytes = document.tobytes()
        return data


def _section(heading: str, sentence: str) -> str:
    return f"<h3>{heading}</h3><p>{sentence * 12}</p><p>{sentence * 6}</p>"


def _front(page: pymupdf.Page, venue: Venue, *, published: bool) -> None:
    who = (
        f"<b>{AUTHORS[0]}, {AUTHORS[1]}</b><br/>{AFFILIATION}<br/>{EMAILS}"
        if published
        else venue.anonymous
    )
    link = f" Our code is available at {CODE}." if published else " Code will be released."
    title = f"<p style='font-size:17px;text-align:center'>{TITLE}</p>"
    page.insert_htmlbox((72, 80, 540, 110), title)
    page.insert_htmlbox((72, 115, 540, 175), f"<p style='text-align:center'>{who}</p>")
    page.insert_htmlbox((110, 180, 500, 200), "<p style='text-align:center'><b>Abstract</b></p>")
    page.insert_htmlbox((110, 203, 500, 255), f"<p style='font-size:10px'>{ABSTRACT}{link}</p>")
    foot = venue.feet[published]
    notes = venue.notes if published else ()
    small = "".join(f"<p style='font-size:8px'>{text}</p>" for text in (*notes, foot) if text)
    right = 296 if venue.columns == 2 else 540
    if small:
        page.insert_htmlbox((72, 690, right, 745), small)


def _back_matter(*, published: bool) -> str:
    thanks = f"<h3>Acknowledgments and Disclosure of Funding</h3><p>{THANKS}</p>"
    references = "".join(
        f"<p>[{n}] A. Nobody and B. Somebody. On the number {n}. Journal of Numbers, 20{n:02}.</p>"
        for n in range(1, 8)
    )
    checklist = "<h3>NeurIPS Paper Checklist</h3><p>Claims: Yes. Limitations: Yes.</p>"
    return f"{thanks if published else ''}<h3>References</h3>{references}{checklist}"


def _columns(page: pymupdf.Page, venue: Venue, top: float, parts: Sequence[str]) -> None:
    if venue.columns == 1:
        whole = "".join(parts)
        page.insert_htmlbox((110, top, 505, 680), f"<div style='font-size:10px'>{whole}</div>")
        return
    for left, part in zip((72, 316), parts, strict=True):
        page.insert_htmlbox(
            (left, top, left + 224, 680), f"<div style='font-size:9px'>{part}</div>"
        )


def _furniture(page: pymupdf.Page, venue: Venue, *, published: bool) -> None:
    if venue.heads[published]:
        page.insert_text((72, 36), venue.heads[published], fontsize=9)
    page.insert_text((_WIDTH / 2, 770), str(page.number + 1), fontsize=9)
    if published:
        return
    for line in range(54):
        number = 54 * page.number + line
        for x in venue.margins:
            page.insert_text((x, 84 + _LINE * line), f"{number:03}", fontsize=7, color=(0.5,) * 3)
