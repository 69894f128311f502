"""Reads LaTeX tokens into a title, an abstract and sections, in one pass.

Groups, environments and formulas are frames on a stack, without recursion. A frame has a flow that
collects its text, the text's colour, and a function that is called when it ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.errors import LatexUnreadable
from app.paper.latex.document import Document
from app.paper.latex.flow import Colour, Flow, Palette, alike, tidy
from app.paper.latex.macros import TokenStream
from app.paper.latex.tables import SYMBOLS
from app.paper.latex.tokens import PARAGRAPH, VERBATIM
from app.paper.model import Finding, Paragraph

_DEEPEST = 500
_FEWEST_LETTERS = 6
"""Hidden text with fewer letters is removed, but not reported."""
_FORMULAS = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}
_OF_FORMULAS = frozenset((*_FORMULAS.values(), "}"))

Close = Callable[[Flow], None]
Command = Callable[["LatexReader", str], None]


def _nothing(_: Flow) -> None:
    """For a frame whose text went to the flow of the frame around it."""


@dataclass(slots=True)
class Frame:
    """An open group, environment or formula.

    ``flow`` collects its text. It is ``shown`` for visible text and ``concealed`` for invisible
    text; ``hidden`` is then the reason. ``forced`` is a reason other than the colour of the text
    (``ink``) and of its background (``paper``).
    """

    closer: str
    flow: Flow
    shown: Flow
    close: Close | None = None
    hidden: str = ""
    forced: str = ""
    concealed: Flow | None = None
    ink: Colour | None = (0, 0, 0)
    paper: Colour | None = (1, 1, 1)


class LatexReader:
    """Reads one document. ``read`` is called once."""

    def __init__(self, tokens: TokenStream, *, in_body: bool) -> None:
        self.tokens = tokens
        self.document = Document()
        self.palette = Palette()
        self.findings: list[Finding] = []
        self.theorems: dict[str, str] = {}
        # Text before \begin{document} is not printed.
        flow = self.document.flow if in_body else Flow()
        self.frames = [Frame("", flow, flow)]
        self._open: Counter[str] = Counter()

    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    @property
    def flow(self) -> Flow:
        return self.frames[-1].flow

    def read(self, commands: Mapping[str, Command], in_formulas: frozenset[str]) -> None:
        """Read all tokens. Formulas keep their source, except for the commands ``in_formulas``."""
        while (token := self.tokens.next()) is not None:
            if token in _SIGNS:
                _SIGNS[token](self, token)
            elif token[0] != "\\" or (self.flow.raw and token not in in_formulas):
                self.flow.add(token)
            elif token in commands:
                commands[token](self, token)
            elif token in SYMBOLS:
                self.flow.add(VERBATIM + SYMBOLS[token])
            elif token[-1].isalpha():
                # The arguments in braces of an unknown command are shown.
                self.tokens.optional()
        while len(self.frames) > 1:
            self.pop()
        self._report(self.frame)

    # Frames

    def push(self, closer: str, *, flow: Flow | None = None, close: Close | None = None) -> Frame:
        """Open a frame, with its own flow or that of the frame around it."""
        if len(self.frames) > _DEEPEST:
            raise LatexUnreadable("The LaTeX source is nested too deeply.", param="file")
        above = self.frame
        frame = Frame(
            closer, flow or above.flow, flow or above.shown, close, above.hidden, above.forced
        )
        frame.ink, frame.paper = above.ink, above.paper
        self.frames.append(frame)
        self._open[closer] += 1
        return frame

    def pop(self) -> str:
        frame = self.frames.pop()
        self._open[frame.closer] -= 1
        self._report(frame)
        if frame.close:
            frame.close(frame.shown)
        return frame.closer

    def end_abstract(self) -> None:
        """End an abstract that is still open, as its end is missing when a section begins."""
        if any(frame.close == self.document.add_abstract for frame in self.frames):
            while self.frames[-1].close != self.document.add_abstract:
                self.pop()
            self.pop()

    def is_open(self, closer: str) -> bool:
        return self._open[closer] > 0

    def pop_to(self, closer: str) -> None:
        """End the innermost frame with this closer, and all frames in it."""
        while self.pop() != closer:
            pass

    def capture(self, close: Close, flow: Flow | None = None) -> Frame:
        """Read the next argument into a flow of its own."""
        return self.argument(close, flow or Flow())

    def argument(self, close: Close = _nothing, flow: Flow | None = None) -> Frame:
        """Read the next argument, in braces or not, in a frame."""
        self.tokens.skip_space()
        if self.tokens.peek() != "{":
            self.tokens.push(["{", *self.tokens.argument(), "}"])
        self.tokens.next()
        return self.push("}", flow=flow, close=close)

    # Invisible text

    def look(self, frame: Frame) -> None:
        """Update whether the frame's text from here on is hidden, by its colours or ``forced``."""
        reason = frame.forced or ("invisible_colour" if alike(frame.ink, frame.paper) else "")
        if reason == frame.hidden:
            return
        self._report(frame)
        frame.hidden = reason
        frame.concealed = Flow(raw=frame.shown.raw) if reason else None
        frame.flow = frame.concealed or frame.shown

    def _report(self, frame: Frame) -> None:
        """Add the text that a frame has hidden to the findings."""
        if frame.concealed is None:
            return
        text = " ".join(paragraph.text for paragraph in frame.concealed.take())
        if sum(map(str.isalpha, text)) >= _FEWEST_LETTERS:
            self.findings.append(Finding(0, frame.hidden, text, (0, 0, 0, 0)))

    # Signs

    def _open_group(self, sign: str) -> None:
        self.push("}")
        if self.flow.raw:
            self.flow.add(sign)

    def _close_group(self, sign: str) -> None:
        if self.frame.closer != "}":
            return
        bare = self.frame.close is None
        self.pop()
        if self.flow.raw and bare:
            self.flow.add(sign)

    def _close_bracket(self, sign: str) -> None:
        if self.frame.closer == "]":
            self.pop()
        else:
            self.flow.add(sign)

    def _paragraph(self, _: str) -> None:
        # A formula does not extend over paragraphs, so its end is missing.
        while self.flow.raw and self.frame.closer in _OF_FORMULAS:
            self.pop()
        if self.flow.raw:
            self.flow.add("\n")
        else:
            self.flow.end_paragraph()

    def _tie(self, sign: str) -> None:
        self.flow.add(sign if self.flow.raw else " ")

    def _cell(self, sign: str) -> None:
        self.flow.add(" | " if self.flow.table else sign)
        if self.flow.table and len(self.frames) > 1:
            self.frame.ink = self.frames[-2].ink
            self.look(self.frame)

    def _formula(self, sign: str) -> None:
        """Handle a sign that may begin or end a formula."""
        closer = _FORMULAS.get(sign)
        if sign == "$$" and self.frame.closer == "$":
            self.tokens.push(["$", "$"])
        elif self.frame.closer == sign:
            self.pop()
            if self.flow.raw:
                self.flow.add(sign)
        elif self.flow.raw:
            self.flow.add(sign)
            if closer:
                self.push(closer)
        elif closer:
            display = len(closer) == 2 and closer != r"\)"
            close = self._end_display if display else self._end_inline
            self.push(closer, flow=Flow(raw=True), close=close)

    def _end_inline(self, formula: Flow) -> None:
        self.flow.add(f"{VERBATIM}${tidy(formula.source())}$")

    def _end_display(self, formula: Flow) -> None:
        source = tidy(formula.source())
        self.flow.block(Paragraph(source and f"$$\n{source}\n$$", "equation"))


_SIGNS: dict[str, Command] = {
    "{": LatexReader._open_group,
    "}": LatexReader._close_group,
    "]": LatexReader._close_bracket,
    "&": LatexReader._cell,
    "~": LatexReader._tie,
    PARAGRAPH: LatexReader._paragraph,
    **dict.fromkeys((*_FORMULAS, *_FORMULAS.values()), LatexReader._formula),
}
