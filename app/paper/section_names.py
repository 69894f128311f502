"""Names of sections: recognises headings by usual names, and finds the kinds of sections."""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.paper.model import SectionKind

NUMBERED = re.compile(
    r"(?i:section |appendix )?"
    r"(?P<number>\d{1,2}(?:\.\d{1,2}){0,3}|[IVX]{1,5}|[A-Z](?:\.\d{1,2}){0,3})[.:)]?"
    r"\s+(?P<name>\S.*)"
)
_LETTERED = re.compile(r"[A-Z](\.\d{1,2})*[.:)]?\s")
_APPENDIX = re.compile(r"appendix [A-Z\d]", re.IGNORECASE)
_CONCLUSION = re.compile(
    r"(\d{1,2}\.?\s+|[IVX]{1,5}\.\s+)?(summary and |discussion and )?"
    r"(conclusions?|concluding remarks)( and .{1,30})?\W*",
    re.IGNORECASE,
)
"""The heading of the last section of the text."""
_METHODS = re.compile(r"(online |materials? and )?methods")
"""Journals print methods after the references; they are not an appendix."""
ABSTRACT = re.compile(
    r"(?:abstract|a b s t r a c t|r[ée]sum[ée]|zusammenfassung|kurzfassung|resumen|resumo|"
    r"riassunto|sommario|摘\s*要|要\s*旨|概\s*要|초\s*록)(?!\w)\s*(?P<stop>[.:：—–|-]*)\s*",
    re.IGNORECASE,
)
"""The heading of an abstract, alone or before its first words."""
_REFERENCES = (
    r"bibliography|bibliographie|literature cited|works cited|literatur(verzeichnis)?|"
    r"r[eé]f[eé]rences|referencias|参考文献"
)
_THANKS = r"remerciements|danksagung|agradecimi?entos|ringraziamenti|致\s*谢"
_SUPPLEMENT = (
    r"supporting information|"
    r"supplement(ary|al) (materials?|information|text|notes?|methods|results|appendix)"
)
NAMED = re.compile(
    r"(general )?introduction|motivation|(background and )?related works?|related literature|"
    r"literature review|background|preliminaries|problem (statement|formulation|setup)|overview|"
    r"(materials? and )?methods?|methodology|(our |proposed )?(approach|method)|model|theory|"
    r"experiments?|experimental (setup|results|evaluation)|experiments and results|"
    r"evaluation|(main )?results?( and discussion)?|(general )?discussions?|analysis|"
    r"limitations?( and future work)?|future works?|"
    r"(summary and |discussion and )?conclusions?( and (future works?|discussions?|outlook))?|"
    r"concluding remarks|summary|ethic(s|al)( statement| considerations)?|broader impacts?|"
    r"impact statement|reproducibility( statement)?|"
    r"(data|code)( and (data|code))? availability( statement)?|author contributions?|"
    r"competing (financial )?interests?|conflicts? of interests?|funding|"
    r"acknowledge?ments?( and .{1,40})?|(authors?[’' ]+(and )?)?affiliations|about the authors?|"
    rf"publisher[’']?s note|{_THANKS}|references( and notes)?|{_REFERENCES}|"
    rf"(technical )?append(ix|ices)( .{{1,60}})?|{_SUPPLEMENT}|"
    r"(neurips |icml |responsible nlp |aaai |reproducibility )?(paper |reproducibility )?checklist",
    re.IGNORECASE,
)
PLAIN_HEADING = re.compile(
    r"abstract|introduction|related work|background|preliminaries|methods?|methodology|"
    r"experiments?|evaluation|results?|discussion|analysis|limitations|conclusions?",
    re.IGNORECASE,
)
"""Names that are headings in plain text, where nothing but the name shows it."""
ABSTRACT_PART = re.compile(
    r"(background|introduction|objectives?|aims?|purpose|motivation|design|settings?|participants?|"
    r"context|importance|rationale|hypothesis|goals?|scope|problem|novelty|patients|subjects|"
    r"data( sources?)?|study (design|selection)|measurements?|interventions?|outcomes?|"
    r"(materials?|patients|subjects) and methods?|methods?|methodology|approach|findings?|"
    r"(main |key |principal )?results?|conclusions?|interpretation|implications?|evaluation|"
    r"discussion|significance|limitations?|trial registration|funding|keywords)"
    r"( and (aims?|objectives?|purpose|methods?|results?|findings?|conclusions?|discussion|"
    r"significance))?",
    re.IGNORECASE,
)
"""Headings of the parts of a structured abstract."""
STATEMENTS = re.compile(
    r"(supplementary )?(theorem|lemma|definition|proposition|corollary|remark|example|assumption|"
    r"claim|fact|proof|algorithm|question|answer|step|case|figure|fig|table|note|input|output|"
    r"require|ensure|q|a|left|right|top|bottom|middle|center|row|column|key ?-?word|"
    r"index term|ccs concept)"
    r"s?\b",
    re.IGNORECASE,
)


def section_kind(heading: str, before: SectionKind) -> SectionKind:
    """The kind of a section, from its heading and the kind of the section before it."""
    name = heading_name(heading).lower()
    for kind, pattern in _KINDS:
        if pattern.match(name):
            return kind
    if _APPENDIX.match(heading):
        return "appendix"
    if before in ("references", "appendix") and not _METHODS.fullmatch(name):
        return "appendix"
    if before == "checklist":
        return "appendix" if _LETTERED.match(heading) else "checklist"
    return "body"


_KINDS: tuple[tuple[SectionKind, re.Pattern[str]], ...] = (
    (
        "references",
        re.compile(
            r"((list of |cited |main |key )?references( (cited|and (notes|links)))?|"
            rf"({_REFERENCES}|referências)( bibliographiques| bibliográficas)?|"
            r"bibliografía|参考资料)\s*([:(\[].*)?$"
        ),
    ),
    (
        "acknowledgements",
        re.compile(
            rf"acknowledge?ments?\b|{_THANKS}|funding\b|authors?[’']? contributions?\b|"
            r"contributors\b|"
            r"(competing|conflicting|declaration of) .*interests?|conflicts? of interest|"
            r"declarations?$|credit author|(authors?[’' ]+(and )?)?affiliations$|"
            r"(about the authors?|authors?[’']? (biograph(y|ies)|information|details))$|"
            r"biograph(y|ies)$|publisher[’']?s[’']? note|open access$|additional information$|"
            r"disclosures?$|ethics approval|consent for publication|correspondence$|"
            r"author list$|(the )?\w+ collaboration$"
        ),
    ),
    ("checklist", re.compile(r"(\w+ ){0,3}checklist\b")),
    (
        "appendix",
        re.compile(rf"(technical )?append(ix|ices)\b|{_SUPPLEMENT}"),
    ),
)


def heading_name(heading: str) -> str:
    """A heading without its number and its final punctuation."""
    numbered = NUMBERED.fullmatch(heading)
    return (numbered["name"] if numbered else heading).strip(" .:")


class KindTracker:
    """Finds the kinds of a paper's sections, in order.

    Sections after a list of references are appendices. But if there are several lists, a section
    with the next number is body text, and so is everything before the conclusion.
    """

    def __init__(self, headings: Iterable[str]) -> None:
        names = list(headings)
        kinds = [section_kind(heading, "body") for heading in names]
        self._has_lists = kinds.count("references") > 1
        self._conclusions = sum(map(_is_conclusion, names))
        self._number = 0

    def kind_of(self, heading: str, before: SectionKind) -> SectionKind:
        """The kind of a section, from its heading and the kind of the section before it."""
        kind = section_kind(heading, before)
        numbered = NUMBERED.fullmatch(heading)
        first = numbered["number"].split(".")[0] if numbered else ""
        if kind == "appendix" and self._has_lists and not _is_appendix(heading):
            follows = first.isdigit() and int(first) in (self._number, self._number + 1)
            is_before_end = self._conclusions > 0 and not _LETTERED.match(heading)
            kind = "body" if follows or is_before_end else kind
        self._conclusions -= _is_conclusion(heading)
        if kind == "body" and first.isdigit():
            self._number = int(first)
        return kind


def _is_conclusion(heading: str) -> bool:
    return _CONCLUSION.fullmatch(heading) is not None


def _is_appendix(heading: str) -> bool:
    return section_kind(heading, "body") == "appendix"
