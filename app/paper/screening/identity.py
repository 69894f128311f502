"""What tells who wrote a paper and where: names, addresses, banners, notes, dates, thanks.

Written once, for title and front matter, for labels of lines, for running heads and for blinding.
"""

from __future__ import annotations

import re

EMAIL = re.compile(
    r"([{(\[][\w.,;|\s-]{1,300}[})\]]|[\w.+-]{1,64})\s?@\s?([\w-]{1,63}\.){1,5}[a-z]{2,24}\b",
    re.IGNORECASE,
)
"""Not "mAP@0.5": a domain ends in letters."""
ORCID = re.compile(r"(https?://orcid\.org/)?\b\d{4}-\d{4}-\d{4}-\d{3}[\dX]\b")

_BANNERS = (
    r"published (as|in|at|by|online)\b|under review|under double-blind|paper under|"
    r"accepted (at|to|by|for|manuscript|in)\b|submitted to|to appear (in|at)|manuscript submitted|"
    r"preprint\b|preliminary (work|version)|work in progress|do not distribute|"
    r"(appears )?(in )?proceedings of |\d+(st|nd|rd|th) (conference|international|annual|workshop)|"
    r"copyright|©|c⃝|anonymous (author|submission|acl)|arxiv:\s?\d|"
    r"transactions on machine learning research|reviewed on openreview|contents lists available|"
    r"open access|available online|hindawi publishing|springer (nature|science)"
)
BANNER = re.compile(rf"({_BANNERS})", re.IGNORECASE)
"""Begins a line that a venue or publisher prints on the paper, and no author writes in it."""
RIGHTS = re.compile(
    r"permission to make digital|all rights reserved|copyright is held|do not distribute|"
    r"©\s?\d{4}|\d{4} (IEEE|ACM|elsevier)\b|\bopen access article distributed|"
    r"(is an|as an) open access article|"
    r"creative commons attribution|this article is licensed under|licensee |"
    r"publication rights licensed|published by (elsevier|springer|wiley|oxford|cambridge)",
    re.IGNORECASE,
)
AUTHOR_NOTE = re.compile(
    r"\b(equal(ly)? contribut|contributed equally|corresponding author|"
    r"correspondence( (to|should)|:)|address (for|all) correspondence|"
    r"project lead|work (was )?(done|performed|conducted|completed) (while|during|when|at)|"
    r"joint (first|last|senior) author|co-?first author|alphabetical order|listed in|"
    r"internship|intern at|now at|currently (at|with)|present address|equal advis|"
    r"lead author|senior author|authors? order|affiliat(ed|ion)|authors?[’'] (address|contact)|"
    r"electronic (mail|address)|e-?mail( address)?:)",
    re.IGNORECASE,
)
NOTE_OF_FIRST_PAGE = re.compile(
    r"(corresponding|correspondence|equal contribution|proceedings of|copyright|permission to|"
    r"preliminary work|work done|e-?mail|published as|under review|manuscript received|"
    r"authors?[’'] (address|contact)|this (work|research) (was|is|has been) |\d+(st|nd|rd|th) )",
    re.IGNORECASE,
)
"""Begins a note at the foot of a paper's first page."""
RECORD = re.compile(
    r"(\(?(manuscript )?(date )?(received|revised|accepted|published( online)?|dated|submitted|"
    r"available online|first published)\b( in (final|revised) form)?[:;,]?( (on|in|for))? ?"
    r"(\d|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|publication)|"
    r"(how to cite|to cite|cite (this|as)|citation:|acm reference format|recommended citation)|"
    r"((academic|handling|action|associate|guest|section|managing) )?editors?:|edited by|"
    r"(reviewed|recommended|communicated) by|doi:|https?://(dx\.)?doi\.org|"
    r"(issn|isbn|pii|pacs|msc|jel)\b|"
    r"(jan|febr)uary|march|april|june|july|august|(septem|octo|novem|decem)ber)",
    re.IGNORECASE,
)
"""Begins a line of a journal's record of the paper: dates, editors, how to cite it."""
ADDRESS = re.compile(
    r"\b(universit|universid|universität|institut|istituto|department|departamento|"
    r"d[ée]partement|dept\b|laborator|laboratoire|school of|college\b|academy|academia|faculty|"
    r"facult[éa]|facultad|hochschule|fakultät|politecnico|polytech|hospital|clinic\b|ministry|"
    r"research (center|centre|lab)|centre? (for|of|de)\b|inc\b|gmbh|"
    r"google|microsoft|meta ai|deepmind|openai|nvidia|amazon|alibaba|tencent|huawei|bytedance|"
    r"baidu|eth z|epfl|mit\b|cnrs|inria|cern\b|max[- ]planck)|大学|学院|研究所|研究院|实验室",
    re.IGNORECASE,
)
FUNDING = re.compile(
    r"\b((this |the |our |present |presented |reported )?(work|research|project|study|paper|"
    r"publication|authors?|[A-Z]\. ?[A-Z]\.|[A-Z]\.[A-Z]\.) "
    r"(was|is|were|are|has been|have been) (\w+ly |also )*(in part )?"
    r"(supported|funded|sponsored|financed)|"
    r"(supported|funded|sponsored|financed) (\w+ly )?(in part )?(by|through|under) "
    r"(?=[^.]{0,160}\b(grants?\b|contracts?\b|fellowship|foundation|council|ministr|agency|"
    r"scholarship|nsf\b|darpa|nih\b|erc\b|dfg\b|epsrc|award|department of|european|"
    r"national (science|natural|research|institute|key|basic)|no\. ?\w*\d))|"
    r"(acknowledges?|grateful for|thanks?) (the )?([\w-]+ ){0,3}(support|funding)\b|"
    r"(support|funding) (from|by|of) [^.]{0,120}\b(grants?|fellowship|foundation|council|ministr|"
    r"agency|scholarship|nsf|is (gratefully )?acknowledged)|"
    r"under (grants?|contracts?) (no|num|agreement|[A-Z]{2}))",
)
"""Who paid; results, fits and sources that support something do not."""
THANKS = re.compile(
    r"(we|the authors?|i|lastly, we|finally, we) (would (also )?like to |also |sincerely |"
    r"gratefully |wish to |want to |are |am |most |warmly |further )*"
    r"(thanks?|acknowledge|grateful (to|for)|indebted to|express our (gratitude|thanks))\b"
    r"(?! that)|(special |many )?thanks (to|go to)\b|"
    r"(it is a pleasure to|our) (thanks?|gratitude)\b",
    re.IGNORECASE,
)
"""Begins a sentence that thanks people."""
KEYWORDS = re.compile(
    r"(key ?-?words?|index terms|ccs concepts|categories and subject|general terms|"
    r"acm reference|additional key ?words|jel classification|msc|(mathematics )?subject "
    r"classification|pacs|keyphrases|code:|code (is )?available|mots[- ]cl[ée]s|"
    r"schl(ü|ue)sselw(ö|oe)rter|palabras clave|palavras[- ]chave|parole chiave|"
    r"关键词|关键字|キーワード|abbreviations|highlights|中图分类号)",
    re.IGNORECASE,
)
"""Begins what stands between abstract and text."""

_PART_OF_NAME = r"(?:[A-ZÀ-ÖØ-Þ][\w'’-]*\.?|(?:[A-Z]\.)+[A-Z][\w'’-]+)"
_PARTICLE = r"(?:de|del|della|dela|di|da|dos|van|von|der|den|ten|la|le|el|al|bin|ibn|du|y)"
PERSON = re.compile(
    rf"{_PART_OF_NAME}(?:[ -](?:{_PART_OF_NAME}|{_PARTICLE})){{1,4}}|(?:[A-Z]\.)+ ?[A-Z][\w'’-]+|"
    r"[\u4e00-\u9fff]{2,4}"
)
_MARKS = re.compile(r"[\d∗*†‡§¶♠♣♦♥♡♢⋆✉#^{}$α-ω]+")
_BETWEEN_NAMES = re.compile(r"[,;·•&|/、，；\n]|\b(?:and|et|und|with|by|By|y|e)\b")
_TITLES = re.compile(
    r"(?:Ph\.?D|M\.?D|M\.?Sc|B\.?Sc|M\.?A|Jr|Sr|II|III|Dr|Prof|Professor|Fellow|(Senior |Student |"
    r"Life )?Member|IEEE|ACM|[a-e*])\.?(,? IEEE)?"
)
_LONGEST_NAMES = 1500


def is_names(text: str) -> bool:
    """Whether a text is a list of people, with what marks and degrees journals print beside them.

    Two words with capitals are a name too: only for where names may stand.
    """
    if len(text) > _LONGEST_NAMES:
        return False
    return bool(_people(text))


def are_several(text: str) -> bool:
    """Whether a text is a list of two people or more."""
    return is_names(text) and _people(text) > 1


def listed(text: str) -> list[str]:
    """What a list of names names, one after the other: without marks, degrees and addresses."""
    bare = EMAIL.sub("", _MARKS.sub(";", text))
    pieces = (" ".join(piece.split()).strip(" .:()") for piece in _BETWEEN_NAMES.split(bare))
    return [piece for piece in pieces if piece and not _TITLES.fullmatch(piece)]


def _people(text: str) -> int:
    """How many people a text lists; none where it is something else."""
    pieces = listed(text.replace("Authors:", "").replace("Author:", ""))
    people = sum(_is_person(piece) for piece in pieces)
    return people if people >= 0.7 * len(pieces) else 0


def _is_person(piece: str) -> bool:
    name = piece.title() if piece.isupper() else piece
    return PERSON.fullmatch(name) is not None


def is_about_authors(text: str) -> bool:
    """Whether a line or a short paragraph names authors, their addresses or the paper's record."""
    bare = text.lstrip("∗*†‡§¶0123456789 (")
    return bool(
        BANNER.match(bare)
        or RECORD.match(bare)
        or RIGHTS.search(text)
        or EMAIL.search(text)
        or ORCID.search(text)
        or AUTHOR_NOTE.search(text)
        or is_names(text)
        or (ADDRESS.search(text) and not is_sentence(text))
    )


def is_sentence(text: str) -> bool:
    """Whether a text reads like running text: long enough, and ending like a sentence."""
    return len(text) >= 40 and text.rstrip()[-1:] in ".:;!?。" and _VERB.search(text) is not None


_VERB = re.compile(
    r"\b(is|are|was|were|be|been|has|have|had|we|they|it|that|which|can|will|show|shows|do|does)\b"
)
