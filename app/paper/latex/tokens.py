"""Splits LaTeX source into tokens: strings whose first character shows their kind.

``\\name`` and ``\\%`` are control sequences, ``{ } [ ] & ~ $ $$`` stand for themselves, ``#1`` is a
parameter, " " is white space and "\\n\\n" a blank line. ``VERBATIM`` begins literal text,
``END_OF_FILE`` is the end of an included file, anything else is plain text. Comments are removed.
"""

from __future__ import annotations

import re

VERBATIM, END_OF_FILE = "\x00", "\x01"
PARAGRAPH = "\n\n"

_CONTROLS = dict.fromkeys((*range(9), 0x0B, *range(0x0E, 0x20), 0x7F))
_TOKEN = re.compile(
    r"""
    (?P<environment>\\begin\s*\{(?P<name>verbatim\*?|Verbatim|lstlisting|minted|alltt|
        comment|filecontents\*?|CCSXML)\})
    | \\(?:verb\*?|lstinline)(?![A-Za-z@*])(?P<mark>[^\s{])(?P<code>[^\n]{0,200}?)(?P=mark)
    | (?P<link>\\(?:url|href|nolinkurl|path))\s*\{(?P<address>(?:[^{}\\#]|\#(?!\d))*+)\}
    | (?P<word>\\[A-Za-z@]+)[ \t]*+(?:\n[ \t]*+(?!\n))?
    | (?P<comment>%[^\n]*+(?:\n[ \t]*+(?!\n))?)
    | (?P<space>\s+)
    | (?P<one>\\[\s\S]|\$\$|[{}\[\]&~$]|\#+\d?|\\)
    | (?P<text>[^\\{}\[\]&~$\#%\s]+)
    """,
    re.VERBOSE,
)
_UNPRINTED = ("comment", "filecontents", "filecontents*", "CCSXML")


def tokenize(source: str) -> list[str]:
    """The tokens of a file, in time proportional to its length."""
    source = source.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)
    tokens: list[str] = []
    unended: set[str] = set()
    at = 0
    while match := _TOKEN.match(source, at):
        at = match.end()
        kind = match.lastgroup
        if kind in ("text", "one", "word"):
            tokens.append(match[kind])
        elif kind == "space":
            tokens.append(PARAGRAPH if match["space"].count("\n") > 1 else " ")
        elif kind == "environment":
            name = match["name"]
            end = -1 if name in unended else source.find(f"\\end{{{name}}}", at)
            if end < 0:
                # Remembered, so that many of them do not each search the whole rest.
                unended.add(name)
                end = at
            elif name not in _UNPRINTED:
                tokens += ["\\begin", "{", name, "}", VERBATIM + source[at:end]]
                tokens += ["\\end", "{", name, "}"]
            at = source.find("}", end) + 1 if end > at else at
        elif kind == "code":
            tokens.append(VERBATIM + match["code"])
        elif kind == "address":
            tokens += [match["link"], "{", VERBATIM + match["address"], "}"]
    return tokens


def is_word(token: str) -> bool:
    """Whether a token is a control sequence with a name of letters."""
    return token[0] == "\\" and token[-1].isalpha()


def joined(tokens: list[str]) -> str:
    """The tokens as source text."""
    pieces: list[str] = []
    for token in tokens:
        if pieces and is_word(pieces[-1]) and token[0].isalpha():
            pieces.append(" ")
        pieces.append(token.removeprefix(VERBATIM))
    return "".join(pieces)
