"""Handlers of LaTeX's commands for the reader."""

from __future__ import annotations

import re

from app.paper.latex.flow import Flow
from app.paper.latex.reader import Command, LatexReader
from app.paper.latex.tables import (
    ACCENTS,
    CITATIONS,
    FRONT,
    LEVELS,
    REFERENCES,
    SKIPPED,
    STEPS,
    accented,
)
from app.paper.latex.tokens import PARAGRAPH, VERBATIM
from app.paper.model import Paragraph

_DIMENSION = re.compile(r"(=?-?[\d.]*(pt|cm|mm|in|em|ex|sp|bp|pc|fil+)?|plus|minus|by)+")
_LETTERS = {r"\i": "i", r"\j": "j", "{": "", "}": ""}


def _skip(reader: LatexReader, specification: str) -> None:
    reader.tokens.star()
    for argument in specification:
        if argument == "[":
            reader.tokens.optional()
        else:
            reader.tokens.argument()


def _put(reader: LatexReader, flow: Flow) -> str:
    """A flow's text. Its footnotes are placed after the current paragraph."""
    blocks = flow.take()
    reader.flow.attach([block for block in blocks if block.kind == "footnote"])
    return " ".join(block.text for block in blocks if block.kind != "footnote").strip()


# Structure


def _section(reader: LatexReader, command: str) -> None:
    reader.tokens.star()
    reader.tokens.optional()
    reader.end_abstract()

    def close(flow: Flow) -> None:
        blocks = flow.take()
        heading = " ".join(b.text for b in blocks if b.kind != "footnote").replace("\n", " ")
        if reader.flow is reader.document.flow:
            reader.document.begin_section(heading, LEVELS[command])
        else:
            reader.flow.block(Paragraph(heading))
        reader.flow.attach([block for block in blocks if block.kind == "footnote"])

    reader.capture(close)


def _title(reader: LatexReader, _: str) -> None:
    reader.tokens.optional()
    reader.capture(reader.document.set_title)


def _abstract(reader: LatexReader, _: str) -> None:
    if reader.tokens.peek() == "{":
        reader.capture(reader.document.add_abstract)


def _front(reader: LatexReader, command: str) -> None:
    reader.tokens.star()
    reader.tokens.optional()
    tokens: list[str] = []
    for _ in range(FRONT[command]):
        tokens += [*reader.tokens.argument(), PARAGRAPH]
    reader.tokens.push(["{", *tokens, "}"])
    reader.capture(reader.document.add_front)


def _centred(reader: LatexReader, _: str) -> None:
    """Centred lines before the first section: the title and authors in plain TeX."""
    if reader.flow is reader.document.flow:
        reader.capture(reader.document.add_centred)


def _plain_section(reader: LatexReader, _: str) -> None:
    """``\\beginsection``: the rest of the line is the heading."""
    reader.tokens.skip_space()
    tokens: list[str] = []
    while (sign := reader.tokens.peek()) and sign != PARAGRAPH and not sign.endswith("\n"):
        tokens.append(reader.tokens.stack.pop())
        if tokens[-1].endswith(".") and not tokens[-1][:-1].isdigit():
            break
    reader.document.begin_section("".join(tokens).strip().rstrip("."), 1)


def _appendix(reader: LatexReader, _: str) -> None:
    if reader.flow is reader.document.flow:
        reader.document.begin_appendix()


def _thanks(reader: LatexReader, _: str) -> None:
    """Acknowledgements, as an argument or, in older styles, as the text that follows."""
    reader.document.begin_section("Acknowledgements", 1)
    if reader.tokens.peek() == "{":
        reader.argument(lambda _: reader.document.end_section())


def _columns(reader: LatexReader, _: str) -> None:
    reader.tokens.skip_space()
    if reader.tokens.peek() == "[":
        reader.tokens.next()
        reader.push("]")


# Text


def _footnote(reader: LatexReader, _: str) -> None:
    reader.tokens.optional()

    def close(flow: Flow) -> None:
        blocks = flow.take()
        text = " ".join(block.text for block in blocks if block.kind != "footnote")
        notes = [Paragraph(text, "footnote")] if text else []
        reader.flow.attach([*notes, *(block for block in blocks if block.kind == "footnote")])

    reader.capture(close)


def _caption(reader: LatexReader, command: str) -> None:
    reader.tokens.star()
    if command == r"\captionof":
        reader.tokens.argument()
    reader.tokens.optional()

    def close(flow: Flow) -> None:
        text = _put(reader, flow)
        reader.flow.block(Paragraph(text, "caption"))

    reader.capture(close)


def _cite(reader: LatexReader, _: str) -> None:
    reader.tokens.star()
    before, after = reader.tokens.optional(), reader.tokens.optional()
    if after is None:
        before, after = None, before
    keys = ", ".join(key.strip() for key in reader.tokens.text().split(","))
    opening = [VERBATIM + "[", *before, " "] if before else [VERBATIM + "["]
    closing = [",", " ", *after, VERBATIM + "]"] if after else [VERBATIM + "]"]
    reader.tokens.push([*opening, VERBATIM + keys, *closing])


def _refer(reader: LatexReader, command: str) -> None:
    reader.tokens.star()
    label = reader.tokens.text()
    reader.flow.add(VERBATIM + (f"({label})" if command == r"\eqref" else label))


def _item(reader: LatexReader, _: str) -> None:
    reader.flow.end_paragraph()
    label = reader.tokens.optional()
    reader.tokens.push(["-", " "] if label is None else [*label, " "])


def _entry(reader: LatexReader, _: str) -> None:
    reader.flow.end_paragraph()
    reader.tokens.optional()
    reader.flow.add(f"{VERBATIM}[{reader.tokens.text()}] ")


def _accent(reader: LatexReader, command: str) -> None:
    letter = "".join(_LETTERS.get(token, token) for token in reader.tokens.argument())
    reader.flow.add(VERBATIM + accented(letter, ACCENTS[command]))


def _break(reader: LatexReader, _: str) -> None:
    reader.tokens.star()
    if reader.tokens.peek() == "[":
        reader.tokens.optional()
    reader.flow.add("\n" if reader.flow.table else " ")
    if reader.flow.table and len(reader.frames) > 1:
        reader.frame.ink, reader.frame.paper = reader.frames[-2].ink, reader.frames[-2].paper
        reader.look(reader.frame)


def _step(reader: LatexReader, command: str) -> None:
    reader.flow.add(f"{VERBATIM}\n{STEPS[command]}")


def _space(reader: LatexReader, _: str) -> None:
    if reader.tokens.peek()[:1].isalnum() or reader.tokens.peek() in ("{", "$"):
        reader.flow.add(" ")


def _skip_arguments(reader: LatexReader, command: str) -> None:
    _skip(reader, SKIPPED[command])


def _skip_dimension(reader: LatexReader, _: str) -> None:
    """``\\vskip 2pt plus 1pt``, ``\\parindent=0pt``."""
    reader.tokens.skip_space()
    while _DIMENSION.fullmatch(reader.tokens.peek() or "x"):
        reader.tokens.next()
        reader.tokens.skip_space()


def _skip_box(reader: LatexReader, _: str) -> None:
    """``\\setbox0=\\hbox{...}``, which is not shown."""
    while (token := reader.tokens.peek()) and token not in ("{", PARAGRAPH):
        reader.tokens.next()
    reader.tokens.argument()


def _paragraph(reader: LatexReader, _: str) -> None:
    reader.flow.end_paragraph()


def _theorem_name(reader: LatexReader, _: str) -> None:
    reader.tokens.star()
    name = reader.tokens.text()
    reader.tokens.optional()
    reader.theorems[name] = reader.tokens.text()
    reader.tokens.optional()


def _ensured(reader: LatexReader, _: str) -> None:
    reader.tokens.push(["$", *reader.tokens.argument(), "$"])


_DIMENSIONS = (
    "magnification hsize vsize hoffset voffset "
    "vskip hskip kern parindent parskip baselineskip itemsep topsep tabcolsep abovedisplayskip "
    "belowdisplayskip textfloatsep"
)
COMMANDS: dict[str, Command] = {
    **dict.fromkeys(SKIPPED, _skip_arguments),
    **dict.fromkeys(LEVELS, _section),
    **dict.fromkeys(FRONT, _front),
    **dict.fromkeys(CITATIONS, _cite),
    **dict.fromkeys(REFERENCES, _refer),
    **dict.fromkeys(ACCENTS, _accent),
    **dict.fromkeys(STEPS, _step),
    **dict.fromkeys((rf"\{name}" for name in _DIMENSIONS.split()), _skip_dimension),
    **dict.fromkeys((r"\title", r"\icmltitle"), _title),
    r"\abstract": _abstract,
    r"\appendix": _appendix,
    r"\centerline": _centred,
    r"\beginsection": _plain_section,
    **dict.fromkeys((r"\acks", r"\ack", r"\acknowledgments", r"\acknowledgements"), _thanks),
    r"\twocolumn": _columns,
    **dict.fromkeys((r"\footnote", r"\footnotetext"), _footnote),
    **dict.fromkeys((r"\caption", r"\captionof", r"\subcaption"), _caption),
    r"\item": _item,
    r"\bibitem": _entry,
    r"\\": _break,
    r"\tabularnewline": _break,
    r"\par": _paragraph,
    r"\xspace": _space,
    r"\setbox": _skip_box,
    r"\newtheorem": _theorem_name,
    r"\ensuremath": _ensured,
}
