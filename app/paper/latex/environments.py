"""Handlers of LaTeX's environments (``\\begin`` and ``\\end``) for the reader."""

from __future__ import annotations

from app.paper.latex.flow import Flow, tidy
from app.paper.latex.reader import Close, Command, LatexReader
from app.paper.latex.tables import (
    BOXES,
    DISPLAYS,
    ENVIRONMENT_ARGUMENTS,
    FLOATS,
    FRONT_ENVIRONMENTS,
    PICTURES,
    TABULARS,
    THANKS,
    THEOREMS,
)
from app.paper.latex.tokens import VERBATIM
from app.paper.model import Paragraph


def _closer(name: str) -> str:
    return f"\\end{{{name}}}"


def _begin(reader: LatexReader, _: str) -> None:
    name = reader.tokens.text()
    if reader.tokens.begin(name):
        return
    if reader.flow.raw:
        reader.flow.add(f"{VERBATIM}\\begin{{{name}}}")
        reader.push(_closer(name))
        return
    plain = name.rstrip("*")
    if plain in DISPLAYS:
        reader.push(_closer(name), flow=Flow(raw=True), close=_display(reader, name))
        return
    note = _arguments(reader, name)
    if plain in TABULARS:
        flow = Flow()
        flow.table = True
        reader.push(_closer(name), flow=flow, close=_table(reader))
        return
    if plain in FLOATS:
        reader.push(_closer(name), flow=Flow(FLOATS[plain]), close=_float(reader))
        return
    reader.flow.end_paragraph()
    _begin_text(reader, name)
    theorem = reader.theorems.get(name) or THEOREMS.get(plain)
    if theorem:
        named = [" ", "(", *note, ")"] if note else []
        reader.tokens.push([VERBATIM + theorem, *named, VERBATIM + ". "])


def _begin_text(reader: LatexReader, name: str) -> None:
    document = reader.document
    close: Close | None = None
    flow: Flow | None = None
    if name == "document":
        flow = document.flow
    elif name in ("abstract", "onecolabstract"):
        flow, close = Flow(), document.add_abstract
    elif name in FRONT_ENVIRONMENTS:
        flow, close = Flow(), document.add_front
    elif name in PICTURES:
        flow, close = Flow(raw=True), _discard
    elif reader.flow is document.flow and name in THANKS:
        document.begin_section("Acknowledgements", 1, "acknowledgements")
        close = _section_end(reader)
    elif reader.flow is document.flow and name == "thebibliography":
        document.begin_section("References", 1, "references")
        close = _section_end(reader)
    elif reader.flow is document.flow and name in ("appendix", "appendices"):
        document.begin_appendix()
    frame = reader.push(_closer(name), flow=flow, close=close)
    if name in BOXES:
        frame.paper = None
    if name == "document":
        frame.hidden = ""
    reader.look(frame)


def _arguments(reader: LatexReader, name: str) -> list[str]:
    """Skip an environment's arguments; return the tokens of the optional one."""
    note: list[str] = []
    for argument in ENVIRONMENT_ARGUMENTS.get(name, "["):
        if argument == "[":
            note = reader.tokens.optional() or note
        else:
            reader.tokens.argument()
    return note


def _end(reader: LatexReader, _: str) -> None:
    name = reader.tokens.text()
    if reader.tokens.end(name):
        return
    if name == "document" and not reader.tokens.end_file():
        reader.tokens.stop()
    if not reader.is_open(_closer(name)):
        return
    if not reader.flow.raw:
        reader.flow.end_paragraph()
    reader.pop_to(_closer(name))
    if reader.flow.raw:
        reader.flow.add(VERBATIM + _closer(name))
    elif reader.flow.kind == "text" and not reader.flow.table:
        reader.flow.end_paragraph()


def _discard(_: Flow) -> None:
    """For drawings, whose content is not text."""


def _section_end(reader: LatexReader) -> Close:
    return lambda _: reader.document.end_section()


def _display(reader: LatexReader, name: str) -> Close:
    def close(flow: Flow) -> None:
        source = tidy(flow.source())
        whole = source and f"\\begin{{{name}}}\n{source}\n\\end{{{name}}}"
        reader.flow.block(Paragraph(whole, "equation"))

    return close


def _table(reader: LatexReader) -> Close:
    def close(flow: Flow) -> None:
        blocks = flow.take()
        text = "\n".join(block.text for block in blocks if block.kind != "footnote")
        if reader.flow.table:
            reader.flow.add(VERBATIM + text.replace("\n", " "))
        else:
            reader.flow.block(Paragraph(text, "table"))
        reader.flow.attach([block for block in blocks if block.kind == "footnote"])

    return close


def _float(reader: LatexReader) -> Close:
    return lambda flow: reader.flow.attach(flow.take())


ENVIRONMENTS: dict[str, Command] = {r"\begin": _begin, r"\end": _end}
