"""A stream of LaTeX tokens with the author's macros, conditionals and included files worked in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from posixpath import normpath
from pathlib import PurePosixPath

from app.errors import LatexUnreadable
from app.paper.tex_tokens import END_OF_FILE, PARAGRAPH, joined, tokenize

_MOST_CHARACTERS = 10_000_000
"""Of all files and all that their macros expand to."""
_DEEPEST_FILE = 20
_LONGEST_NAME = 200
_PRESET = {
    # What is shown of these commands' arguments.
    r"\texorpdfstring": (2, ["#1"]),
    r"\pdftooltip": (2, ["#1"]),
    r"\import": (2, [r"\input", "{", "#1", "/", "#2", "}"]),
    r"\subimport": (2, [r"\input", "{", "#1", "/", "#2", "}"]),
    r"\ifthenelse": (3, ["#3"]),
    r"\IfFileExists": (3, ["#3"]),
    r"\nicefrac": (2, ["#1", "/", "#2"]),
    r"\SI": (2, ["#1", " ", "#2"]),
    r"\qty": (2, ["#1", " ", "#2"]),
}
_CONDITIONALS = frozenset(
    rf"\if{name}"
    for name in "|cat|x|num|dim|odd|vmode|hmode|mmode|inner|void|hbox|vbox|eof|true|false|case|"
    "defined|csname|fontchar|pdf|PDFTeX|pdftex|xetex|luatex|XeTeX|LuaTeX".split("|")
)


@dataclass(frozen=True, slots=True)
class _Macro:
    """``default`` is that of an optional first argument."""

    arguments: int
    body: list[str]
    default: list[str] | None = None


class TokenStream:
    """Tokens of one file and of those that it includes, macros expanded.

    Definitions of ``kept`` names, which the reader knows itself, are passed over.

    Raises:
        LatexUnreadable: macros or files that include one another grow without end.
    """

    def __init__(
        self, source: str, texts: Mapping[str, str], name: str, kept: frozenset[str]
    ) -> None:
        self._texts = texts
        self._stem = PurePosixPath(name).stem
        self._kept = kept
        self._files: list[str] = []
        self._open = 0
        self._room = _MOST_CHARACTERS
        self._switches = {r"\iftrue": True, r"\iffalse": False}
        self._set_switches: dict[str, tuple[str, bool]] = {}
        self._bbl = [path for path in texts if path.endswith(".bbl")]
        self._macros = {name: _Macro(count, body) for name, (count, body) in _PRESET.items()}
        self._environments: dict[str, tuple[_Macro, list[str]]] = {}
        self._stack: list[str] = []
        self._push_text(source)

    def push(self, tokens: list[str]) -> None:
        """Put tokens before what comes next."""
        self._charge(sum(map(len, tokens)) + 1)
        self._stack.extend(reversed(tokens))

    def next(self) -> str | None:
        """The next token that is neither macro, definition, conditional nor included file."""
        while self._stack:
            token = self._stack.pop()
            if token == END_OF_FILE:
                self._files.pop()
            elif token[0] != "\\":
                return token
            elif token in self._macros:
                self._expand(self._macros[token])
            elif token in _PRIMITIVES:
                _PRIMITIVES[token](self, token)
            elif self._is_conditional(token):
                self._open_conditional(token)
            elif token in self._set_switches:
                name, value = self._set_switches[token]
                self._switches[name] = value
            else:
                return token
        return None

    def peek(self) -> str:
        """The next token as it stands, or an empty string at the end."""
        return self._stack[-1] if self._stack else ""

    def skip_space(self) -> None:
        while self._stack and self._stack[-1] == " ":
            self._stack.pop()

    def argument(self) -> list[str]:
        """The next argument's tokens, nothing expanded: a group's, or a single one."""
        while self._stack and self._stack[-1] in (" ", PARAGRAPH):
            self._stack.pop()
        if not self._stack:
            return []
        token = self._stack.pop()
        if token == "{":  # noqa: S105
            return self._until("}")
        if token == "}":  # noqa: S105  # it ends what the command is in
            self._stack.append(token)
            return []
        if token[0] not in "\\#\x00" and len(token) > 1:
            self._stack.append(token[1:])
        return [token if token[0] in "\\#\x00" else token[0]]

    def optional(self) -> list[str] | None:
        """The tokens between brackets, if those come next."""
        self.skip_space()
        if self.peek() != "[":
            return None
        self._stack.pop()
        return self._until("]")

    def star(self) -> bool:
        """Take the star that comes next, if any."""
        if not self.peek().startswith("*"):
            return False
        rest = self._stack.pop()[1:]
        if rest:
            self._stack.append(rest)
        return True

    def text(self) -> str:
        """The next argument as source text."""
        return joined(self.argument()).strip()

    def begin(self, name: str) -> bool:
        """Go on with what an environment of the author's begins with; False if it is none."""
        if name not in self._environments:
            return False
        self._expand(self._environments[name][0])
        return True

    def end(self, name: str) -> bool:
        if name not in self._environments:
            return False
        self.push(self._environments[name][1])
        return True

    def end_file(self) -> bool:
        """Leave out the rest of an included file; False in the main one."""
        if not self._files:
            return False
        while self._stack and self._stack[-1] != END_OF_FILE:
            self._stack.pop()
        return True

    def _include(self, *names: str) -> None:
        """Go on with the first of these files that there is, and is not being read already."""
        for name in names:
            path = normpath(name)
            text = self._texts.get(path)
            if text is not None and path not in self._files and len(self._files) < _DEEPEST_FILE:
                self._files.append(path)
                self._stack.append(END_OF_FILE)
                self._push_text(text)
                return

    def _charge(self, characters: int) -> None:
        self._room -= characters
        if self._room < 0:
            raise LatexUnreadable(
                f"The LaTeX source comes to more than {_MOST_CHARACTERS:,} characters when its "
                "macros and files are worked in.",
                param="file",
            )

    def _push_text(self, text: str) -> None:
        self._charge(len(text))
        self._stack.extend(reversed(tokenize(text)))

    def _until(self, closer: str) -> list[str]:
        """Up to the closer of this group, which goes too; all that is left where it has none."""
        tokens: list[str] = []
        depth = 0
        while self._stack:
            token = self._stack.pop()
            if depth == 0 and token == closer:
                break
            depth += (token == "{") - (token == "}")  # noqa: S105
            if depth < 0:
                self._stack.append(token)
                break
            if token == END_OF_FILE:
                self._files.pop()
            else:
                tokens.append(token)
        return tokens

    def _expand(self, macro: _Macro) -> None:
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
        for token in macro.body:
            number = int(token[1:]) if token[0] == "#" and token[1:].isdigit() else 0
            if 1 <= number <= len(arguments):
                self._charge(sizes[number - 1])
                tokens += arguments[number - 1]
            else:
                tokens.append(token[1:] if token.startswith("##") else token)
        self.push(tokens)

    # Definitions

    def _defined_name(self) -> str:
        self.star()
        name = self.argument()
        if name[:1] == [r"\csname"]:
            return self._csname()
        return name[0] if len(name) == 1 else ""

    def _set(self, name: str, macro: _Macro) -> None:
        if name.startswith("\\") and name not in self._kept and name not in _PRIMITIVES:
            self._macros[name] = macro

    def _count(self) -> int:
        count = joined(self.optional() or [])
        return int(count) if count in _DIGITS else 0

    def _new_command(self, _: str) -> None:
        name, count, default = self._defined_name(), self._count(), self.optional()
        self._set(name, _Macro(count, self.argument(), default))

    def _document_command(self, _: str) -> None:
        name, specification, body = self._defined_name(), self.text(), self.argument()
        letters = specification.replace(" ", "")
        if not letters.strip("m"):
            self._set(name, _Macro(len(letters), body))

    def _def(self, _: str) -> None:
        name = self._defined_name()
        parameters: list[str] = []
        while self._stack and self._stack[-1] != "{":
            parameters.append(self._stack.pop())
        body = self.argument()
        # Arguments that end at other characters than braces are rare in papers.
        if parameters == [f"#{number + 1}" for number in range(len(parameters))]:
            self._set(name, _Macro(len(parameters), body))

    def _let(self, _: str) -> None:
        name = self._defined_name()
        self.skip_space()
        if self.peek() == "=":
            self._stack.pop()
        target = (self.argument() or [""])[0]
        if target.startswith("\\"):
            self._set(name, self._macros.get(target) or _Macro(0, [target]))

    def _operator(self, _: str) -> None:
        name, text = self._defined_name(), self.argument()
        self._set(name, _Macro(0, [r"\operatorname", "{", *text, "}"]))

    def _new_environment(self, _: str) -> None:
        self.star()
        name, count, default = self.text(), self._count(), self.optional()
        beginning, ending = self.argument(), self.argument()
        if name not in self._kept:
            self._environments[name] = (_Macro(count, beginning, default), ending)

    def _csname(self) -> str:
        name = ""
        while self._stack and len(name) < _LONGEST_NAME:
            token = self._stack.pop()
            if token == r"\endcsname":
                break
            name += token
        return "\\" + name

    def _push_csname(self, _: str) -> None:
        self.push([self._csname()])

    # Conditionals

    def _new_if(self, _: str) -> None:
        name = self._defined_name()
        if name.startswith(r"\if"):
            self._switches[name] = False
            for value in ("true", "false"):
                self._set_switches[f"\\{name[3:]}{value}"] = (name, value == "true")

    def _open_conditional(self, token: str) -> None:
        """Go on with the branch to take. A test that is not worked out counts as false."""
        holds = self._switches.get(token, False)
        if token == r"\ifx":
            first, second = self.argument(), self.argument()
            holds = first == second or self._meaning(first) == self._meaning(second) is not None
        elif token == r"\ifdefined":
            holds = self._meaning(self.argument()) is not None
        if holds or self._skip_branch(to_else=True):
            self._open += 1

    def _meaning(self, tokens: list[str]) -> _Macro | None:
        return self._macros.get(tokens[0]) if tokens else None

    def _skip_branch(self, *, to_else: bool) -> bool:
        """Leave out tokens to the end of a conditional, or to its ``\\else``, which is told."""
        depth = 0
        while self._stack:
            token = self._stack.pop()
            if token == END_OF_FILE:
                self._files.pop()
            elif self._is_conditional(token):
                depth += 1
            elif token == r"\fi":
                if depth == 0:
                    return False
                depth -= 1
            elif token == r"\else" and depth == 0 and to_else:
                return True
        return False

    def _is_conditional(self, token: str) -> bool:
        return token in _CONDITIONALS or token in self._switches or token.startswith(r"\if@")

    def _else(self, _: str) -> None:
        if self._open:
            self._open -= 1
            self._skip_branch(to_else=False)

    def _fi(self, _: str) -> None:
        self._open -= self._open > 0

    # Files

    def _input(self, _: str) -> None:
        self.skip_space()
        if self.peek() == "{":
            name = self.text()
        else:
            name = ""
            while self._stack and self._stack[-1][0] not in " \n\\{}":
                name += self._stack.pop()
        self._include(name, f"{name}.tex")

    def _bibliography(self, _: str) -> None:
        names = self.text().split(",") if self.peek() == "{" else []
        self._include(f"{self._stem}.bbl", *(f"{name.strip()}.bbl" for name in names), *self._bbl)

    def _nothing(self, _: str) -> None:
        """For what changes nothing here."""


_DIGITS = frozenset("123456789")
_PRIMITIVES: dict[str, Callable[[TokenStream, str], None]] = {
    **dict.fromkeys(
        (
            r"\newcommand",
            r"\renewcommand",
            r"\providecommand",
            r"\DeclareRobustCommand",
        ),
        TokenStream._new_command,
    ),
    **dict.fromkeys(
        (r"\NewDocumentCommand", r"\RenewDocumentCommand", r"\DeclareDocumentCommand"),
        TokenStream._document_command,
    ),
    **dict.fromkeys((r"\def", r"\gdef", r"\edef", r"\xdef"), TokenStream._def),
    **dict.fromkeys((r"\newenvironment", r"\renewenvironment"), TokenStream._new_environment),
    **dict.fromkeys((r"\input", r"\include", r"\subfile"), TokenStream._input),
    **dict.fromkeys((r"\bibliography", r"\printbibliography"), TokenStream._bibliography),
    **dict.fromkeys(
        (r"\expandafter", r"\noexpand", r"\protect", r"\global", r"\long", r"\relax"),
        TokenStream._nothing,
    ),
    r"\let": TokenStream._let,
    r"\DeclareMathOperator": TokenStream._operator,
    r"\csname": TokenStream._push_csname,
    r"\newif": TokenStream._new_if,
    r"\else": TokenStream._else,
    r"\fi": TokenStream._fi,
}
