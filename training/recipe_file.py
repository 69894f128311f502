"""Reads a recipe's YAML file, and names the line and the key of what is wrong in it."""

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
"""By the words that tell the members of unions apart."""


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        RecipeError: it can't be read; or a key is unknown, missing or out of range: the file, the
            line and the key are named, and for an unknown key those that there are.
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
        problem = getattr(error, "problem", None) or "no YAML"
        raise RecipeError(f"recipe {path}{line}: {problem}") from error
    try:
        return Recipe.model_validate(values if values is not None else {})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        # A misspelt key is missing, too: what is written there helps more.
        unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
        raise RecipeError(_told(path, root, (unknown or problems)[0])) from error


def recipe_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that stands there twice, which YAML forbids and PyYAML lets pass."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name!r} stands there twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


# YAML 1.2's and everybody's 2e-5, which YAML 1.1 takes for a string.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+"),
    list("-+0123456789."),
)


def _told(path: Path, root: Any, problem: Any) -> str:
    # Pydantic names the member of the union, which the file does not.
    loc = _untagged(problem["loc"])
    line = f", line {_line(root, loc)}" if root is not None else ""
    key = ".".join(map(str, loc))
    if problem["type"] != "extra_forbidden":
        message = problem["msg"].removeprefix("Value error, ")
        return f"recipe {path}{line}: {f'{key}: ' if key else ''}{message}"
    allowed = sorted(_fields(problem["loc"][:-1]))
    near = difflib.get_close_matches(str(loc[-1]), allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"recipe {path}{line}: unknown key {key!r}{hint} Allowed there: {', '.join(allowed)}."


def _untagged(loc: Sequence[Any]) -> list[Any]:
    return [part for place, part in enumerate(loc) if not _is_tag(loc, place)]


def _is_tag(loc: Sequence[Any], place: int) -> bool:
    """Whether it is the word of a union's member, which follows the union's key or place."""
    before = loc[place - 1] if place else ""
    return loc[place] in _MEMBERS and (before == "split" or isinstance(before, int))


def _line(node: Any, loc: Iterable[Any]) -> int:
    """Where the key stands; of a missing one, the section that it is missing in."""
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
    for place, part in enumerate(loc):
        if _is_tag(loc, place):
            model = _MEMBERS[part]
        elif isinstance(part, str):
            annotation = model.model_fields[part].annotation
            members = getattr(annotation, "__args__", (annotation,))
            model = next((m for m in members if hasattr(m, "model_fields")), model)
    fields: Iterable[str] = model.model_fields
    return fields
