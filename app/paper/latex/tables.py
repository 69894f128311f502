"""Tables of the commands and environments that the reader knows."""

from __future__ import annotations

import unicodedata

from pylatexenc.latex2text import (  # type: ignore[import-untyped]
    get_default_latex_context_db,
)

from app.paper.model import ParagraphKind


def _words(names: str) -> list[str]:
    return names.split()


LEVELS = {
    r"\part": 1,
    r"\chapter": 1,
    r"\section": 1,
    r"\subsection": 2,
    r"\subsubsection": 3,
    r"\paragraph": 4,
    r"\subparagraph": 4,
    r"\bmhead": 4,
}

_COMBINING = {
    "`": "\u0300",
    "'": "\u0301",
    "^": "\u0302",
    "~": "\u0303",
    "=": "\u0304",
    "u": "\u0306",
    ".": "\u0307",
    '"': "\u0308",
    "r": "\u030a",
    "H": "\u030b",
    "v": "\u030c",
    "d": "\u0323",
    "c": "\u0327",
    "k": "\u0328",
    "b": "\u0331",
}
ACCENTS = {f"\\{name}": mark for name, mark in _COMBINING.items()}


def accented(letter: str, mark: str) -> str:
    """A letter with a combining mark, as a single character if there is one."""
    base = {"ı": "i", "ȷ": "j"}.get(letter[:1], letter[:1])
    return unicodedata.normalize("NFC", base + mark if base.strip() else base) + letter[1:]


SYMBOLS = {
    f"\\{spec.macroname}": spec.simplify_repl
    for spec in get_default_latex_context_db().iter_macro_specs()
    if isinstance(spec.simplify_repl, str) and len(spec.simplify_repl) == 1
} | {
    r"\%": "%",
    r"\,": " ",
    r"\/": "",
    r"\-": "",
    r"\!": "",
    r"\@": "",
    "\\\n": " ",
    r"\quad": " ",
    r"\qquad": " ",
    r"\newline": " ",
    r"\linebreak": " ",
    r"\hfill": " ",
    r"\slash": "/",
    r"\textgreater": ">",
    r"\textless": "<",
    r"\textbar": "|",
    r"\textasciitilde": "~",
    r"\textasciicircum": "^",
    r"\textasciigrave": "'",
    r"\textunderscore": "_",
    r"\lq": "‘",
    r"\rq": "’",
    r"\copyright": "©",
    r"\S": "§",
    r"\P": "¶",
    r"\checkmark": "✓",
    r"\cmark": "✓",
    r"\xmark": "✗",
    r"\TeX": "TeX",
    r"\LaTeX": "LaTeX",
    r"\BibTeX": "BibTeX",
    r"\eg": "e.g.",
    r"\ie": "i.e.",
    r"\etal": "et al.",
    r"\etc": "etc.",
    r"\vs": "vs.",
    r"\cf": "cf.",
}
"""Commands without arguments, with their text."""

_SKIPPED = {
    "{": "label vspace hspace bibliographystyle thispagestyle pagestyle pagenumbering tag "
    "theoremstyle hypersetup graphicspath nocite hyphenation lstset tikzset pgfplotsset "
    "usetikzlibrary captionsetup titlerunning authorrunning icmltitlerunning runningtitle "
    "runningauthor shorttitle shortauthors printAffiliationsAndNotice date href newcounter "
    "refstepcounter stepcounter newlength newsavebox usebox externaldocument addbibresource "
    "enlargethispage rotatebox setcitestyle selectlanguage arabic roman alph fnsymbol "
    "setcopyright acmJournal acmVolume acmNumber acmArticle acmMonth acmPrice acmSubmissionID "
    "acmBooktitle pacs preprint jyear doi acmYear acmISBN acmDOI copyrightyear bstctlcite "
    "parbox rowcolors",
    "{{": "setlength addtolength setcounter addtocounter multicolumn resizebox icmlsetsymbol "
    "settowidth numberwithin sbox DeclareUnicodeCharacter",
    "{{{": "addcontentsline",
    "[": "footnotemark pagebreak nopagebreak",
    "[{{{": "acmConference",
    "[{": "received ccsdesc documentclass documentstyle usepackage RequirePackage todo index "
    "missingfigure includegraphics lstinputlisting raisebox adjustbox",
    "[[": "makebox framebox",
    "[{{": "savebox rule",
    "{[{": "newcolumntype",
    "{[{[": "multirow",
}
SKIPPED = {rf"\{name}": spec for spec, names in _SKIPPED.items() for name in names.split()}
"""Commands whose arguments are not shown, with their arguments: ``[`` optional, ``{`` required."""

FRONT = {
    **dict.fromkeys(
        _words(
            r"\author \affiliation \affil \institute \institution \address \email \thanks "
            r"\icmlauthor \aistatsauthor \aistatsaddress \keywords \icmlkeywords \orcid "
            r"\authornote \correspondingauthor \altaffiliation \collaboration \homepage "
            r"\equalcont \corresp \shortauthors \authors \ead \fntext \cortext \tnotetext "
            r"\name \addr \IEEEspecialpapernotice \editor"
        ),
        1,
    ),
    r"\icmlaffiliation": 2,
    r"\icmlcorrespondingauthor": 2,
}
"""Commands of the front matter, such as authors, with their numbers of arguments."""

CITATIONS = frozenset(
    f"\\{name}"
    for name in _words(
        "cite citep citet citealt citealp citeauthor citeyear citeyearpar Citet Citep "
        "citealp parencite textcite autocite footcite citenum shortcite newcite fullcite citetext"
    )
)
REFERENCES = frozenset(
    f"\\{name}" for name in _words("ref eqref autoref cref Cref pageref nameref vref labelcref")
)

FLOATS: dict[str, ParagraphKind] = {
    "figure": "figure",
    "wrapfigure": "figure",
    "SCfigure": "figure",
    "teaserfigure": "figure",
    "table": "table",
    "wraptable": "table",
    "sidewaystable": "table",
    "sidewaysfigure": "figure",
    "algorithm": "text",
}
TABULARS = frozenset(_words("tabular tabularx tabulary longtable supertabular tblr tabu"))
DISPLAYS = frozenset(
    _words("equation align gather multline eqnarray flalign alignat displaymath math dmath")
)
LISTS = frozenset(_words("itemize enumerate description compactitem compactenum inparaenum"))
FRONT_ENVIRONMENTS = frozenset(
    _words(
        "icmlauthorlist IEEEbiography IEEEbiographynophoto biography keywords keyword "
        "IEEEkeywords authors affiliations titlepage"
    )
)
THANKS = frozenset(
    _words("ack acks acknowledgments acknowledgements acknowledgment acknowledgement")
)
PICTURES = frozenset(_words("tikzpicture pgfpicture picture forest axis lrbox tikzcd pspicture"))
BOXES = frozenset(_words("tcolorbox mdframed shaded framed colorframe promptbox"))
"""Environments whose background may have any colour."""
THEOREMS = {
    name: name.capitalize()
    for name in _words("theorem lemma proposition corollary definition remark example proof")
}
ENVIRONMENT_ARGUMENTS = {
    "minipage": "[[[{",
    "tabular": "[{",
    "tabular*": "{[{",
    "tabularx": "{[{",
    "tabulary": "{{",
    "longtable": "[{",
    "tblr": "[{",
    "wrapfigure": "[{[{",
    "wraptable": "[{[{",
    "subfigure": "[{",
    "subtable": "[{",
    "multicols": "{",
    "adjustbox": "{",
    "thebibliography": "{",
    "spacing": "{",
    "minted": "[{",
    "list": "{{",
    "alignat": "",
    "document": "",
}
STEPS = {
    rf"\{name}": text
    for name, text in {
        "State": "",
        "STATE": "",
        "Statex": "",
        "Require": "Require: ",
        "REQUIRE": "Require: ",
        "Ensure": "Ensure: ",
        "ENSURE": "Ensure: ",
        "For": "for ",
        "FOR": "for ",
        "ForAll": "for all ",
        "While": "while ",
        "WHILE": "while ",
        "If": "if ",
        "IF": "if ",
        "ElsIf": "else if ",
        "Else": "else ",
        "ELSE": "else ",
        "Return": "return ",
        "RETURN": "return ",
        "Repeat": "repeat ",
        "Until": "until ",
    }.items()
}
"""Steps of an algorithm with their text. Each is on its own line."""

DEFINABLE = frozenset(
    [*ACCENTS, *STEPS, *(f"\\{name}" for name in _words("todo tag name addr editor institution"))]
)
"""Known commands that authors often redefine; their definitions are used."""
STRUCTURAL_ENVIRONMENTS = (
    TABULARS
    | DISPLAYS
    | LISTS
    | THANKS
    | frozenset(FLOATS)
    | {"document", "abstract", "thebibliography", "appendix", "appendices"}
)
"""Environments whose redefinitions by authors are ignored."""
