"""A stream of LaTeX tokens that expands macros, conditionals and included files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from posixpath import normpath

from app.errors import LatexUnreadable
from app.paper.latex.tokens import END_OF_FILE, PARAGRAPH, joined, tokenize

_MOST_CHARACTERS = 10_000_000
"""Maximum number of characters of all files and expansions together."""
_COST = 5
"""Characters added for each expansion, so that recursive empty macros end too."""
_DEEPEST_FILE = 20
_LONGEST_NAME = 1000
"""Maximum number of tokens in a file's name."""
_PRESET = {
    # The arguments of these commands that are shown.
    r"\texorpdfstring": (2, ["#1"]),
    r"\pdftooltip": (2, ["#1"]),
    r"\IEEEPARstart": (2, ["#1", "#2"]),
    r"\lettrine": (2, ["#1", "#2"]),
    r"\import": (2, [r"\input", "{", "#1", "/", "#2", "}"]),
    r"\subimport": (2, [r"\input", "{", "#1", "/", "#2", "}"]),
    r"\ifthenelse": (3, ["#3"]),
    r"\IfFileExists": (3, ["#3"]),
    r"\nicefrac": (2, ["#1", "/", "#2"]),
    r"\SI": (2, ["#1", " ", "#2"]),
    r"\qty": (2, ["#1", " ", "#2"]),
}
_CONDITIONAL = re.compile(
    r"\\if(|cat|x|num|dim|odd|[vhm]mode|mmode|inner|void|[hv]box|eof|case|defined|csname|fontchar|"
    r"pdf|PDFTeX|pdftex|xetex|luatex|XeTeX|LuaTeX|@.*)"
)

Primitive = Callable[["TokenStream", str], None]


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro. ``default`` is the value of an optional first argument."""

    arguments: int
    body: list[str]
    default: list[str] | None = None


class TokenStream:
    """The tokens of one file and of the files that it includes, with macros expanded.

    Definitions of ``kept`` names, which the reader handles itself, are ignored.

    Raises:
        LatexUnreadable: the expansion is too long; macros or files may include one another.
    """

    def __init__(
        self,
        source: str,
        texts: Mapping[str, str],
        name: str,
        primitives: Mapping[str, Primitive],
        kept: frozenset[str],
    ) -> None:
        self._texts = texts
        self.stem = PurePosixPath(name).stem
        self._primitives = primitives
        self.kept = kept | primitives.keys()
        self._files: list[str] = []
        self.open_conditionals = 0
        self._room = _MOST_CHARACTERS
        self.switches = {r"\iftrue": True, r"\iffalse": False}
        self.set_switches: dict[str, tuple[str, bool]] = {}
        self.missing: dict[str, None] = {}
        self.bibliographies = [path for path in texts if path.endswith(".bbl")]
        self.macros = {name: Macro(count, body) for name, (count, body) in _PRESET.items()}
        # Names that \let has given to commands that are not macros.
        self.aliases: dict[str, str] = {}
        self.environments: dict[str, tuple[Macro, list[str]]] = {}
        self.stack: list[str] = []
        self._push_text(source)

    def push(self, tokens: list[str]) -> None:
        """Insert tokens before the next one."""
        self._charge(sum(map(len, tokens)) + _COST)
        self.stack.extend(reversed(tokens))

    def next(self) -> str | None:
        """The next token, after macros, definitions, conditionals and included files."""
        while self.stack:
            sign = self.stack.pop()
            if sign == END_OF_FILE:
                self._files.pop()
            elif sign[0] != "\\":
                return sign
            elif sign in self.macros:
                self._expand(self.macros[sign])
            elif (sign := self.aliases.get(sign, sign)) in self._primitives:
                self._primitives[sign](self, sign)
            elif self.is_conditional(sign):
                self._open_conditional(sign)
            elif sign in self.set_switches:
                name, value = self.set_switches[sign]
                self.switches[name] = value
            else:
                return sign
        return None

    def peek(self) -> str:
        """The next token without expansion, or an empty string at the end."""
        return self.stack[-1] if self.stack else ""

    def skip_space(self) -> None:
        while self.stack and self.stack[-1] == " ":
            self.stack.pop()

    def argument(self) -> list[str]:
        """The tokens of the next argument without expansion: of a group, or a single token."""
        while self.stack and self.stack[-1] in (" ", PARAGRAPH):
            self.stack.pop()
        if not self.stack:
            return []
        sign = self.stack.pop()
        if sign == "{":
            return self._until("}")
        if sign == "}":  # the end of the group around the command
            self.stack.append(sign)
            return []
        if sign[0] not in "\\#\x00" and len(sign) > 1:
            self.stack.append(sign[1:])
        return [sign if sign[0] in "\\#\x00" else sign[0]]

    def optional(self) -> list[str] | None:
        """The tokens of an optional argument in brackets; None if there is none."""
        self.skip_space()
        if self.peek() != "[":
            return None
        self.stack.pop()
        return self._until("]")

    def star(self) -> bool:
        """Skip a star; return whether there was one."""
        if not self.peek().startswith("*"):
            return False
        rest = self.stack.pop()[1:]
        if rest:
            self.stack.append(rest)
        return True

    def text(self) -> str:
        """The next argument as source text."""
        return joined(self.argument()).strip()

    def begin(self, name: str) -> bool:
        """Expand the beginning of an environment that the author has defined; False if there is no
        such definition.
        """
        if name not in self.environments:
            return False
        self._expand(self.environments[name][0])
        return True

    def end(self, name: str) -> bool:
        if name not in self.environments:
            return False
        self.push(self.environments[name][1])
        return True

    def end_file(self) -> bool:
        """Skip the rest of an included file; return False in the main file."""
        if not self._files:
            return False
        while self.stack and self.stack[-1] != END_OF_FILE:
            self.stack.pop()
        return True

    def stop(self) -> None:
        """Skip everything that is left."""
        self.stack.clear()

    def include(self, *names: str) -> None:
        """Continue with the first of these files that exists, unless it is already being read."""
        for name in names:
            path = normpath(name)
            text = self._texts.get(path)
            if text is not None and path not in self._files and len(self._files) < _DEEPEST_FILE:
                self._files.append(path)
                self.stack.append(END_OF_FILE)
                self._push_text(text)
                return
            if text is not None:
                return
        if names and names[0] and not names[0].endswith(".bbl"):
            self.missing[names[0]] = None

    def expanded(self, tokens: list[str]) -> str:
        """The tokens of a name as text, with macros without arguments expanded."""
        pieces: list[str] = []
        stack = tokens[::-1]
        for _ in range(_LONGEST_NAME):
            if not stack:
                break
            sign = stack.pop()
            macro = self.macros.get(sign)
            if macro and not macro.arguments:
                stack += macro.body[::-1]
            elif sign not in ("{", "}"):
                pieces.append(sign)
        return joined(pieces).strip()

    def _charge(self, characters: int) -> None:
        self._room -= characters
        if self._room < 0:
            raise LatexUnreadable(
                f"The LaTeX source has more than {_MOST_CHARACTERS:,} characters after its macros "
                "and files are expanded.",
                param="file",
            )

    def _push_text(self, text: str) -> None:
        self._charge(len(text))
        self.stack.extend(reversed(tokenize(text)))

    def _until(self, closer: str) -> list[str]:
        """The tokens up to the end of this group, which is skipped, or up to the end of all."""
        tokens: list[str] = []
        depth = 0
        while self.stack:
            sign = self.stack.pop()
            if depth == 0 and sign == closer:
                break
            depth += (sign == "{") - (sign == "}")
            if depth < 0:
                self.stack.append(sign)
                break
            if sign == END_OF_FILE:
                self._files.pop()
            else:
                tokens.append(sign)
        return tokens

    def _expand(self, macro: Macro) -> None:
        if not macro.arguments:
            self.push(macro.body)
            return
        arguments: list[list[str]] = []
        if macro.default is not None:
            given = self.optional()
            arguments.append(macro.default if given is None else given)
        while len(arguments) < macro.arguments:
            arguments.append(self.argument())
        sizes = [sum(map(len, argument)) + 1 for argument in arguments]
        tokens: list[str] = []
        for sign in macro.body:
            number = int(sign[1:]) if sign[0] == "#" and sign[1:].isdigit() else 0
            if 1 <= number <= len(arguments):
                self._charge(sizes[number - 1])
                tokens += arguments[number - 1]
            else:
                tokens.append(sign[1:] if sign.startswith("##") else sign)
        self.push(tokens)

    def _open_conditional(self, sign: str) -> None:
        """Continue with the branch that is taken. A test that can't be evaluated is false."""
        holds = self.switches.get(sign, False)
        if sign == r"\ifx":
            first, second = self.argument(), self.argument()
            holds = first == second or self._meaning(first) == self._meaning(second) is not None
        elif sign == r"\ifdefined":
            holds = self._meaning(self.argument()) is not None
        if holds or self.skip_branch(to_else=True):
            self.open_conditionals += 1

    def _meaning(self, tokens: list[str]) -> Macro | None:
        return self.macros.get(tokens[0]) if tokens else None

    def skip_branch(self, *, to_else: bool) -> bool:
        """Skip to the end of a conditional or, with ``to_else``, to its ``\\else``.

        Returns whether it stopped at an ``\\else``.
        """
        depth = 0
        while self.stack:
            sign = self.stack.pop()
            if sign == END_OF_FILE:
                self._files.pop()
            elif self.is_conditional(sign):
                depth += 1
            elif sign == r"\fi":
                if depth == 0:
                    return False
                depth -= 1
            elif sign == r"\else" and depth == 0 and to_else:
                return True
        return False

    def is_conditional(self, sign: str) -> bool:
        return sign in self.switches or (
            sign.startswith(r"\if") and _CONDITIONAL.fullmatch(sign) is not None
        )
