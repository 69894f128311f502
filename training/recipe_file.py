"""Reads a recipe's YAML file. Errors name the line and the key."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # PyYAML has no types
from pydantic import ValidationError

from training.errors import RecipeError
from training.recipe import Recipe
from training.recipe_sources import (
    JsonlSource,
    OpenReviewSource,
    PapersSource,
    PeerReadSource,
    Section,
    SplitByColumn,
    SplitByGroup,
    SplitByTime,
)

_MEMBERS: dict[Any, type[Section]] = {
    "peerread": PeerReadSource,
    "openreview": OpenReviewSource,
    "jsonl": JsonlSource,
    "papers": PapersSource,
    "column": SplitByColumn,
    "time": SplitByTime,
    "group": SplitByGroup,
}
"""The members of the schema's unions, by their discriminator values."""


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        RecipeError: it can't be read; or a key is unknown, missing or out of range. The message
            names the file, the line and the key, and for an unknown key the allowed ones.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise RecipeError(f"recipe {path}: {reason}") from error
    try:
        root = yaml.compose(text, Loader=_Loader)
        values = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise RecipeError(f"recipe {path}{line}: {problem}") from error
    try:
        return Recipe.model_validate(values if values is not None else {})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        # A misspelt key gives two errors; that of the unknown key is more helpful.
        unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
        raise RecipeError(_message(path, root, (unknown or problems)[0])) from error


def recipe_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses duplicate keys, which YAML forbids and PyYAML accepts."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key {name!r}", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


# Numbers like 2e-5, which YAML 1.2 defines and YAML 1.1 reads as strings.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+"),
    list("-+0123456789."),
)


def _message(path: Path, root: Any, problem: Any) -> str:
    # Pydantic's location contains the member of a union, which is not a key in the file.
    loc = _untagged(problem["loc"])
    line = f", line {_line(root, loc)}" if root is not None else ""
    key = ".".join(map(str, loc))
    if problem["type"] != "extra_forbidden":
        message = problem["msg"].removeprefix("Value error, ")
        return f"recipe {path}{line}: {f'{key}: ' if key else ''}{message}"
    allowed = sorted(_fields(problem["loc"][:-1]))
    near = difflib.get_close_matches(str(loc[-1]), allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"recipe {path}{line}: unknown key {key!r}{hint} Allowed keys: {', '.join(allowed)}."


def _untagged(loc: Sequence[Any]) -> list[Any]:
    return [part for index, part in enumerate(loc) if not _is_tag(loc, index)]


def _is_tag(loc: Sequence[Any], index: int) -> bool:
    """Whether the part of a location is a union's tag, which follows the union's key or index."""
    before = loc[index - 1] if index else ""
    return loc[index] in _MEMBERS and (before == "split" or isinstance(before, int))


def _line(node: Any, loc: Iterable[Any]) -> int:
    """The line of a key, or of the section in which it is missing."""
    line: int = node.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, value) for key, value in node.value}
            if part not in pairs:
                return line
            key, node = pairs[part]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _fields(loc: Sequence[Any]) -> Iterable[str]:
    """The keys of the section at ``loc``."""
    model: Any = Recipe
    for index, part in enumerate(loc):
        if _is_tag(loc, index):
            model = _MEMBERS[part]
        elif isinstance(part, str):
            annotation = model.model_fields[part].annotation
            members = getattr(annotation, "__args__", (annotation,))
            model = next((m for m in members if hasattr(m, "model_fields")), model)
    fields: Iterable[str] = model.model_fields
    return fields
