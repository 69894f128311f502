"""Reads review templates from files, and checks them when the service starts.

A template is a folder with the name that requests use, and three files: ``system.txt`` and
``user.txt`` are the prompt's two messages; ``sections.toml`` lists the sections that ``user.txt``
asks for (see ``prompts/default/sections.toml``). ``user.txt`` must contain ``{title}``,
``{abstract}`` and ``{body}`` once each, a line ``## Heading`` for each section, in their order, and
the two verdict lines below a line ``## Final Recommendation``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import ConfigurationError
from app.review.headings import OTHER, PREAMBLE, VERDICT
from app.review.template import (
    ACCEPTANCE,
    LISTS,
    PROSE,
    PUBLISHED,
    REJECTION,
    VERDICT_HEADING,
    VERDICT_LEAD,
    SectionSpec,
    Template,
)

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PLACEHOLDERS = ("title", "abstract", "body")
_VERDICTS = tuple(f"{VERDICT_LEAD} {word}." for word in (ACCEPTANCE, REJECTION))


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    heading: str = Field(pattern=r"^[^\s#][^#\n]*$")
    field: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    share: float = Field(gt=0, allow_inf_nan=False)
    bullets: bool = Field(False, alias="list")


class _Sections(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    section: list[_Section] = Field(min_length=1)


@cache
def own_templates() -> Mapping[str, Template]:
    """The templates of this package, by name."""
    return dict(_all_in(files("app.review") / "prompts"))


def published() -> Template:
    """The template that the published model was tuned on."""
    return own_templates()[PUBLISHED]


def load_templates(folder: Path | None) -> Mapping[str, Template]:
    """The package's templates and those in ``folder``, by name.

    Raises:
        ConfigurationError: a template is invalid; the message names it, the file and the line.
    """
    own = own_templates()
    if folder is None:
        return own
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder", param="templates_dir")
    added = dict(_all_in(folder))
    for name in sorted(own.keys() & added.keys()):
        _refuse(name, "a template of this name comes with the service")
    return {**own, **added}


def _all_in(folder: Path | Traversable) -> Iterator[tuple[str, Template]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir() and not entry.name.startswith((".", "_")):
            yield entry.name, _load(entry)


def _refuse(name: str, what: str, file: str = "", line: int = 0) -> NoReturn:
    where = f", {file}" if file else ""
    where += f" line {line}" if line else ""
    raise ConfigurationError(f"template {name!r}{where}: {what}", param="templates_dir")


def _load(folder: Path | Traversable) -> Template:
    name = folder.name
    if not _NAME.fullmatch(name):
        _refuse(name, "a name may have up to 40 lower-case letters, digits, '-' and '_'")
    texts = {file: _read(folder, file) for file in ("system.txt", "user.txt", "sections.toml")}
    sections = _sections(name, texts["sections.toml"])
    user = texts["user.txt"]
    _check_placeholders(name, user)
    _check_headings(name, user, sections)
    _check_verdict(name, user)
    total = sum(section.share for section in sections)
    return Template(
        name=name,
        system=texts["system.txt"],
        user=user,
        sections=tuple(
            SectionSpec(part.field, part.heading, part.share / total, part.bullets)
            for part in sections
        ),
    )


def _read(folder: Path | Traversable, file: str) -> str:
    try:
        return (folder / file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        _refuse(folder.name, "it is not UTF-8", file, line)
    except OSError as error:
        _refuse(folder.name, error.strerror or type(error).__name__, file)


def _sections(name: str, text: str) -> Sequence[_Section]:
    def refuse(what: str, number: int | None = None) -> NoReturn:
        starts = [
            n for n, line in enumerate(text.splitlines(), 1) if line.startswith("[[section]]")
        ]
        line = starts[number] if number is not None and number < len(starts) else 1
        _refuse(name, what, "sections.toml", line)

    try:
        sections = _Sections.model_validate(tomllib.loads(text)).section
    except tomllib.TOMLDecodeError as error:
        _refuse(name, str(error), "sections.toml")  # its message ends with the line
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        number = next((part for part in first["loc"] if isinstance(part, int)), None)
        refuse(f"{first['loc'][-1]}: {first['msg']}", number)
    for number, part in enumerate(sections):
        earlier = sections[:number]
        if part.field in (PREAMBLE, VERDICT, OTHER):
            refuse(f"the field name {part.field!r} is reserved", number)
        if (part.field in PROSE and part.bullets) or (part.field in LISTS and not part.bullets):
            kind = "a text" if part.bullets else "a list"
            refuse(f"the field {part.field!r} must be {kind}", number)
        if any(part.field == other.field or part.heading == other.heading for other in earlier):
            refuse(f"the heading or field occurs twice: {part.heading!r} ({part.field})", number)
    return sections


def _check_placeholders(name: str, user: str) -> None:
    lines = user.splitlines()
    seen: list[str] = []
    for number, line in enumerate(lines, 1):
        for found in _PLACEHOLDER.findall(line):
            if found not in _PLACEHOLDERS:
                _refuse(name, f"unknown placeholder {{{found}}}", "user.txt", number)
            if found in seen:
                _refuse(name, f"{{{found}}} occurs twice", "user.txt", number)
            seen.append(found)
    for missing in [wanted for wanted in _PLACEHOLDERS if wanted not in seen]:
        _refuse(name, f"{{{missing}}} is missing", "user.txt", max(1, len(lines)))


def _check_headings(name: str, user: str, sections: Sequence[_Section]) -> None:
    lines = user.splitlines()
    places: list[int] = []
    for part in sections:
        if f"## {part.heading}" not in lines:
            what = f"the section's heading '## {part.heading}' is missing"
            _refuse(name, what, "user.txt", max(1, len(lines)))
        places.append(lines.index(f"## {part.heading}") + 1)
    for one, other in pairwise(places):
        if other < one:
            _refuse(name, "headings are not in the order of sections.toml", "user.txt", other)


def _check_verdict(name: str, user: str) -> None:
    lines = user.splitlines()
    for wanted in (f"## {VERDICT_HEADING}", *_VERDICTS):
        if wanted not in lines:
            _refuse(name, f"the line '{wanted}' is missing", "user.txt", max(1, len(lines)))
    if min(map(lines.index, _VERDICTS)) < lines.index(f"## {VERDICT_HEADING}"):
        what = f"the verdict is above '## {VERDICT_HEADING}'"
        _refuse(name, what, "user.txt", min(map(lines.index, _VERDICTS)) + 1)
