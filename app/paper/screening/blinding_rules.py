"""What of a text gives its authors, venue or fate away, and what kind of giveaway it is."""

from __future__ import annotations

import re

from app.paper.model import Paragraph
from app.paper.screening.authors import LINK
from app.paper.screening.identity import (
    ADDRESS,
    AUTHOR_NOTE,
    BANNER,
    EMAIL,
    FUNDING,
    KEYWORDS,
    ORCID,
    PERSON,
    RECORD,
    RIGHTS,
    THANKS,
    is_names,
)

_CODE_LINK = re.compile(
    r"(https?://\s?)?(www\.)?\b(github\.com|gitlab\.com|bitbucket\.org|huggingface\.co|"
    r"anonymous\.4open\.science|zenodo\.org|[\w-]{1,63}\.github\.io|sites\.google\.com|"
    r"drive\.google\.com|figshare\.com|osf\.io)(/\s?[^\s)\]},;]*)?",
    re.IGNORECASE,
)
_SHARED = r"(available|released|open-?sourced)"
_ARTEFACT = (
    r"(code|codes|codebase|source|implementations?|datasets?|data|models?|weights|benchmark|"
    r"toolbox|library|software|project page|project website|demo|resources|checkpoints|videos?)"
)
_RELEASE = re.compile(
    rf"\b{_ARTEFACT}\b"
    r"[^.]{0,120}\b(available|accessible|released?|found|open-?sourced?|visit|see|at:?|provided?)\b"
    r"[^.]{0,40}(https?:|www\.|github|gitlab|hugging ?face|\.io\b|upon (acceptance|publication)|"
    r"after (acceptance|publication)|here\b|this (link|url)|publicly)|"
    rf"\b{_ARTEFACT}\b[^.]{{0,60}}\bwill (be (made )?(publicly )?{_SHARED}|"
    r"(publicly )?(release|open-?source) upon)\b|"
    rf"\bwe (will|plan to|shall) (\w+ly )?(release|open-?source|publish|share|make) [^.]{{0,80}}"
    rf"\b{_ARTEFACT}\b|"
    r"\b(code|project page|website|homepage|demo)( (is )?(available )?(at|here))?: ",
    re.IGNORECASE,
)
"""Camera-ready papers link to their code; submissions promise it or hide it."""
_LONGEST_NOTE = 600
"""Characters of a paragraph that may be dropped whole for a phrase in it."""
_LONGEST_THANKS = 2500
_LONGEST_ADDRESS = 300
_SHORT = 200
_ENDS_LIKE_TEXT = re.compile(r"[.:;,!?]$")
_DEGREE = r"(degree|Ph\.?D|B\.?S|M\.?S|B\.?A|diploma)"
_POSITION = r"(professor|lecturer|researcher|student|scientist|fellow|engineer)"
_BIOGRAPHY = re.compile(
    rf"(?:{PERSON.pattern})[^.]{{0,80}}\b(received (the|his|her|an?) [^.]{{0,60}}{_DEGREE}|"
    rf"is (currently )?(an?|the) [^.]{{0,60}}{_POSITION}|was born in [A-Z])"
)
_WITH = re.compile(
    rf"(?:{PERSON.pattern}|the authors?)[^.]{{0,80}} (is|are|was|were) (currently |now )?with "
    rf"(the )?[^.]{{0,80}}(?:{ADDRESS.pattern})",
    re.IGNORECASE,
)

FRONT_KINDS = (
    ("emails", EMAIL),
    ("venue_banner", BANNER),
    ("author_notes", AUTHOR_NOTE),
    ("affiliations", ADDRESS),
)
CUTS: tuple[tuple[str, re.Pattern[str], str, tuple[str, ...]], ...] = (
    ("emails", EMAIL, "", ("@",)),
    ("code_links", _CODE_LINK, LINK, ("http", ".com", ".io", ".org", ".co/", ".science")),
    ("orcid", ORCID, "", ("orcid", "0000-")),
)
SENTENCES: tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...] = (
    ("funding", FUNDING, ("upport", "und", "ponsor", "grant", "contract", "inanced")),
    (
        "code_links",
        _RELEASE,
        ("vailable", "elease", "ccessible", "ource", "http", "www.", "github", "age: ", "ode: ",
         "hare", "ublish"),
    ),
)  # fmt: skip
"""Kind, pattern, and what is in every match: looked for first, because it is quicker."""


def is_thanks(sentence: str) -> bool:
    return THANKS.match(sentence) is not None


def kind_of_note(paragraph: Paragraph) -> str | None:
    """What a short paragraph is that says nothing of the paper itself."""
    text = paragraph.text
    bare = text.lstrip("∗*†‡§¶•0123456789^ ")
    if (
        len(text) <= _LONGEST_THANKS
        and THANKS.match(bare)
        and paragraph.kind in ("text", "footnote")
    ):
        return "acknowledgements"
    if len(text) <= _LONGEST_THANKS and _BIOGRAPHY.match(text):
        return "author_notes"
    if len(text) > _LONGEST_NOTE:
        return None
    note = paragraph.kind == "footnote"
    if BANNER.match(text) or BANNER.match(bare) or RIGHTS.search(text):
        return "venue_banner"
    if note and BANNER.search(text):
        return "venue_banner"
    if _is_author_note(text, bare, note=note):
        return "author_notes"
    if note and FUNDING.search(text):
        return "funding"
    return _kind_on_first_page(paragraph, bare)


def _is_author_note(text: str, bare: str, *, note: bool) -> bool:
    first_page = note or len(text) <= _SHORT
    return bool((note and AUTHOR_NOTE.search(bare)) or (first_page and AUTHOR_NOTE.match(bare)))


def _kind_on_first_page(paragraph: Paragraph, bare: str) -> str | None:
    """Records, keywords and addresses, which stand where the paper begins."""
    page = paragraph.anchors[0].page if paragraph.anchors else 0
    if page > 1:
        return None
    is_line = len(bare) <= _SHORT and not _ENDS_LIKE_TEXT.search(bare)
    if (page or is_line) and (RECORD.match(bare) or (page and KEYWORDS.match(bare))):
        return "venue_banner"
    if _WITH.match(bare):
        return "author_notes"
    return "affiliations" if is_address(paragraph.text) else None


def is_address(text: str) -> bool:
    """An e-mail or an institution, and no sentence."""
    return (
        len(text) <= _LONGEST_ADDRESS
        and not _ENDS_LIKE_TEXT.search(text)
        and (EMAIL.search(text) is not None or ADDRESS.search(text) is not None)
    )


def is_signature(first: str, second: str) -> bool:
    """Whether two paragraphs are a name, or names, and an address: as letters are signed."""
    return is_names(first) and len(first) <= _SHORT and (is_address(second) or is_names(second))
