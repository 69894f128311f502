"""Commands that the token stream executes: definitions, conditionals, included files."""

from __future__ import annotations

from app.paper.latex.macros import Macro, Primitive, TokenStream
from app.paper.latex.tokens import joined

_LONGEST_NAME = 200
_DIGITS = frozenset("123456789")


def _defined_name(stream: TokenStream) -> str:
    stream.star()
    name = stream.argument()
    if name[:1] == [r"\csname"]:
        return _csname(stream)
    return name[0] if len(name) == 1 else ""


def _set(stream: TokenStream, name: str, macro: Macro) -> None:
    if name.startswith("\\") and name not in stream.kept:
        stream.macros[name] = macro
        stream.aliases.pop(name, None)


def _count(stream: TokenStream) -> int:
    count = joined(stream.optional() or [])
    return int(count) if count in _DIGITS else 0


def _new_command(stream: TokenStream, _: str) -> None:
    name, count, default = _defined_name(stream), _count(stream), stream.optional()
    _set(stream, name, Macro(count, stream.argument(), default))


def _document_command(stream: TokenStream, _: str) -> None:
    name, specification, body = _defined_name(stream), stream.text(), stream.argument()
    letters = specification.replace(" ", "")
    if not letters.strip("m"):
        _set(stream, name, Macro(len(letters), body))


def _def(stream: TokenStream, _: str) -> None:
    name = _defined_name(stream)
    parameters: list[str] = []
    while stream.stack and stream.stack[-1] != "{":
        parameters.append(stream.stack.pop())
    body = stream.argument()
    # Delimited arguments are rare in papers, and not supported.
    if parameters == [f"#{number + 1}" for number in range(len(parameters))]:
        _set(stream, name, Macro(len(parameters), body))


def _let(stream: TokenStream, _: str) -> None:
    name = _defined_name(stream)
    stream.skip_space()
    if stream.peek() == "=":
        stream.stack.pop()
    target = (stream.argument() or [""])[0]
    if target in stream.macros:
        _set(stream, name, stream.macros[target])
    elif target in stream.switches:
        stream.switches[name] = stream.switches[target]
    elif target.startswith("\\") and name not in stream.kept:
        stream.macros.pop(name, None)
        stream.aliases[name] = stream.aliases.get(target, target)


def _operator(stream: TokenStream, _: str) -> None:
    name, text = _defined_name(stream), stream.argument()
    _set(stream, name, Macro(0, [r"\operatorname", "{", *text, "}"]))


def _new_environment(stream: TokenStream, _: str) -> None:
    stream.star()
    name, count, default = stream.text(), _count(stream), stream.optional()
    beginning, ending = stream.argument(), stream.argument()
    if name not in stream.kept:
        stream.environments[name] = (Macro(count, beginning, default), ending)


def _csname(stream: TokenStream) -> str:
    name = ""
    while stream.stack and len(name) < _LONGEST_NAME:
        sign = stream.stack.pop()
        if sign == r"\endcsname":
            break
        name += sign
    return "\\" + name


def _push_csname(stream: TokenStream, _: str) -> None:
    stream.push([_csname(stream)])


def _new_if(stream: TokenStream, _: str) -> None:
    name = _defined_name(stream)
    if name.startswith(r"\if"):
        stream.switches[name] = False
        for value in ("true", "false"):
            stream.set_switches[f"\\{name[3:]}{value}"] = (name, value == "true")


def _else(stream: TokenStream, _: str) -> None:
    if stream.open_conditionals:
        stream.open_conditionals -= 1
        stream.skip_branch(to_else=False)


def _fi(stream: TokenStream, _: str) -> None:
    stream.open_conditionals -= stream.open_conditionals > 0


def _bare_name(stream: TokenStream) -> list[str]:
    """The tokens of a file's name without braces: up to white space or the next command."""
    tokens: list[str] = []
    while stream.stack and (sign := stream.stack[-1])[0] not in " \n{}":
        if tokens and sign[0] == "\\" and sign not in stream.macros:
            break
        tokens.append(stream.stack.pop())
    return tokens


def _input(stream: TokenStream, _: str) -> None:
    stream.skip_space()
    if stream.peek() == "{":
        name = stream.expanded(stream.argument())
    else:
        name = stream.expanded(_bare_name(stream))
    stream.include(name, f"{name}.tex")


def _bibliography(stream: TokenStream, _: str) -> None:
    names = stream.text().split(",") if stream.peek() == "{" else []
    stream.include(
        f"{stream.stem}.bbl", *(f"{name.strip()}.bbl" for name in names), *stream.bibliographies
    )


def _end_input(stream: TokenStream, _: str) -> None:
    if not stream.end_file():
        stream.stop()


def _nothing(stream: TokenStream, _: str) -> None:
    """For commands without an effect here."""


PRIMITIVES: dict[str, Primitive] = {
    **dict.fromkeys(
        (
            r"\newcommand",
            r"\renewcommand",
            r"\providecommand",
            r"\DeclareRobustCommand",
        ),
        _new_command,
    ),
    **dict.fromkeys(
        (r"\NewDocumentCommand", r"\RenewDocumentCommand", r"\DeclareDocumentCommand"),
        _document_command,
    ),
    **dict.fromkeys((r"\def", r"\gdef", r"\edef", r"\xdef"), _def),
    **dict.fromkeys((r"\newenvironment", r"\renewenvironment"), _new_environment),
    **dict.fromkeys((r"\input", r"\include", r"\subfile"), _input),
    **dict.fromkeys((r"\bibliography", r"\printbibliography"), _bibliography),
    **dict.fromkeys(
        (r"\expandafter", r"\noexpand", r"\protect", r"\global", r"\long", r"\relax"),
        _nothing,
    ),
    r"\let": _let,
    r"\DeclareMathOperator": _operator,
    r"\csname": _push_csname,
    r"\newif": _new_if,
    r"\endinput": _end_input,
    r"\else": _else,
    r"\fi": _fi,
}
