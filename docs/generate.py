"""Writes the generated tables of docs/ from the code: ``python -m docs.generate``, ``make docs``.

A page has each between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from app.cli import cli
from app.observability.metrics import Metrics
from app.settings import PREFIX, Settings

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_METRIC = re.compile(r"^# HELP (\w+) (.*)\n# TYPE \w+ (\w+)$", re.MULTILINE)


def main() -> None:
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(with_tables(text), encoding="utf-8")


def with_tables(page: str) -> str:
    """The page with its generated tables as the code has them now."""
    return _BLOCK.sub(lambda block: f"{block[1]}{_TABLES[block[2]]()}\n{block[3]}", page)


def _settings() -> str:
    rows = (
        (f"`{PREFIX}{name.upper()}`", _default(name), field.description or "")
        for name, field in Settings.model_fields.items()
    )
    return _table(("variable", "default", "meaning"), rows)


def _default(name: str) -> str:
    """A setting's default, without the home folder of whoever generates the page."""
    if name in ("cache_dir", "data_dir"):
        return f"the user's {name.removesuffix('_dir')} folder"
    default = Settings.model_fields[name].default
    if default is None:
        return "–"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _metrics() -> str:
    found = _METRIC.findall(Metrics().page().decode())
    rows = ((f"`{name}`", kind, help_) for name, help_, kind in found if "_created" not in name)
    return _table(("metric", "type", "meaning"), rows)


def _commands() -> str:
    return "\n\n".join(_command("reviewer", get_command(cli)))


def _command(path: str, command: object) -> Iterator[str]:
    """Each command's usage, help and parameters; those of a group one after the other."""
    if isinstance(command, TyperGroup):
        if command.invoke_without_command:
            yield f"## {path}\n\n`{path}`\n\n{command.help}"
        for name, child in command.commands.items():
            yield from _command(f"{path} {name}", child)
        return
    assert isinstance(command, TyperCommand)  # noqa: S101  # the only other kind
    arguments = "".join(f" <{p.name}>" for p in command.params if isinstance(p, TyperArgument))
    options = " [options]" if any(isinstance(p, TyperOption) for p in command.params) else ""
    yield f"## {path}\n\n`{path}{options}{arguments}`\n\n{command.help}"
    rows = [_parameter(p) for p in command.params if isinstance(p, TyperArgument | TyperOption)]
    if rows:
        yield _table(("parameter", "default", "meaning"), rows)


def _parameter(parameter: TyperArgument | TyperOption) -> tuple[str, str, str]:
    names = [*parameter.opts, *parameter.secondary_opts]
    if isinstance(parameter, TyperArgument):
        names = [f"<{parameter.name}>"]
    default = parameter.default
    shown = "" if default is None or default is False else f"`{str(default).lower()}`"
    variable = f" Also `{parameter.envvar}`." if parameter.envvar else ""
    return (
        ", ".join(f"`{name}`" for name in names),
        "required" if parameter.required else shown,
        f"{parameter.help}{variable}",
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in row)} |" for row in lines)


_TABLES = {"settings": _settings, "metrics": _metrics, "cli": _commands}

if __name__ == "__main__":
    main()
