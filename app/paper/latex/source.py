"""Reads a paper from LaTeX source, without running TeX.

Tokens (:mod:`app.paper.latex.tokens`) pass through the author's macros (``macros``) to a reader
(``reader``) that knows the commands of ``commands``, ``environments`` and
``hiding``. There is no recursion, and each step takes time proportional to its input.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Mapping

from app.errors import LatexUnreadable
from app.paper.clean import clean
from app.paper.latex.commands import COMMANDS
from app.paper.latex.environments import ENVIRONMENTS
from app.paper.latex.hiding import CONCEALING, HIDE_IN_FORMULAS
from app.paper.latex.macros import TokenStream
from app.paper.latex.primitives import PRIMITIVES
from app.paper.latex.reader import LatexReader
from app.paper.latex.tables import DEFINABLE, STRUCTURAL_ENVIRONMENTS
from app.paper.model import Integrity, Paper

_BODY = re.compile(r"\\begin\s*\{document\}")
_ENCODING = re.compile(rb"^[^%\n]*\\usepackage\s*\[(\w+)\]\s*\{inputenc\}", re.MULTILINE)
_ENCODINGS = {"ansinew": "cp1252", "applemac": "mac_roman", "latin9": "iso8859-15"}
_KNOWN = {**COMMANDS, **ENVIRONMENTS, **CONCEALING}
_KEPT = (frozenset(_KNOWN) - DEFINABLE) | STRUCTURAL_ENVIRONMENTS
_IN_FORMULAS = HIDE_IN_FORMULAS | frozenset(ENVIRONMENTS)


def paper_from_latex(
    source: bytes | str, files: Mapping[str, bytes] | None = None, name: str = "main.tex"
) -> Paper:
    """The paper in a LaTeX file. Formulas keep their source.

    ``files`` are the files that it may include, by their path relative to it; ``name`` is the
    file's own name. ``integrity.hidden_text`` has text that would be invisible, with page 0.

    Raises:
        LatexUnreadable: it contains no text, or is too large or too deeply nested when expanded.
    """
    text = source if isinstance(source, str) else decode_latex(source)
    texts = {path: decode_latex(data) for path, data in (files or {}).items()}
    in_body = not any(_BODY.search(file) for file in (text, *texts.values()))
    reader = LatexReader(TokenStream(text, texts, name, PRIMITIVES, _KEPT), in_body=in_body)
    reader.read(_KNOWN, _IN_FORMULAS)
    abstract, sections = reader.document.finish()
    if not abstract and not any(section.paragraphs for section in sections):
        raise LatexUnreadable("The LaTeX source contains no text.", param="file")
    return Paper(
        title=clean(reader.document.title),
        abstract=abstract,
        sections=sections,
        sha256=hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else "",
        integrity=Integrity(
            hidden_text=tuple(reader.findings), unread=tuple(reader.tokens.missing)
        ),
    )


def decode_latex(data: bytes) -> str:
    """Decode a file as UTF-8, or else in the encoding that it declares, or else as Latin-1."""
    return _decoded(data).replace("\r\n", "\n").replace("\r", "\n")


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        declared = _ENCODING.search(data)
    name = declared[1].decode("ascii", "replace") if declared else "latin-1"
    try:
        codec = codecs.lookup(_ENCODINGS.get(name, name))
        return codec.decode(data, "replace")[0]
    except (LookupError, TypeError):
        return data.decode("latin-1")
