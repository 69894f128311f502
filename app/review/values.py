"""Turns a section's raw text into its value, a text or a list's points, and trims cut-off ends."""

from __future__ import annotations

import re
from collections.abc import Sequence

import regex  # type: ignore[import-untyped]  # for its classes of characters

from app.paper.sentences import sentence_ends
from app.review.template import SectionSpec

Value = str | tuple[str, ...]
"""A text, or a list's points."""

_RULE = re.compile(r"[ \t]*(?:[-*_][ \t]?){3,}[ \t]*|[ \t]*[-=]{2,}[ \t]*")
_FENCE = re.compile(r"[ \t]*(?:```|~~~)[\w-]*[ \t]*")
_BULLET = re.compile(
    r"[ \t]*(?:"
    r"(?:[-*+–—]|\d{1,2}[.):]|\(\d{1,2}\)|\(?[a-zA-Z][.)]|[(\[]?[A-Z]{1,2}\d{1,2}[.:)\]]{1,2})"
    r"(?:[ \t]+|$)"
    # These need no space after them.
    r"|[•▪◦‣●][ \t]*|[-–](?=[^\W\d_]|\*\*)"
    # "**1.** text" and "**1. Title** text": the number is dropped, and the title stays bold.
    r"|(?:\*\*|__)(?:\d{1,2}|[A-Z]{1,2}\d{1,2})[.):]{1,2}(?:(?:\*\*|__)[ \t]*|[ \t]+(?P<bold>))"
    r")(?P<text>.*)"
)
_NUMBER = re.compile(r"^\d{1,2}[.)][ \t]+")
_LEAD_IN = re.compile(r"[ \t]*(?:\*\*|__)[^*_\n]{1,120}(?:\*\*|__)[ \t]*:?(?P<rest>.*)")
_NESTED = 2
"""Columns by which a nested item is indented."""
_LINE_END = re.compile(r"(?<![:\s])[ \t]*(?=\n[ \t]*(?:\n|[-*+•][ \t]|\d{1,2}[.)][ \t]))")
"""The end of a paragraph, or of the text before a list. A line that ends with a colon goes on."""
_ASIDE = regex.compile(r"[\p{P}\p{Z}\s`]+")


def section_value(text: str, spec: SectionSpec) -> Value:
    """The value of a section's raw text: a list's items, each on one line, or a text."""
    lines = [line for line in re.split(r"\r?\n", text) if not _RULE.fullmatch(line)]
    fences = [at for at, line in enumerate(lines) if _FENCE.fullmatch(line)]
    if len(fences) % 2:
        # The closing fence of a code block around the whole review.
        del lines[fences[-1]]
    return _items(lines) if spec.bullets else "\n".join(lines).strip()


def _items(lines: Sequence[str]) -> tuple[str, ...]:
    """The items of a list; if it has no list marks, its paragraphs.

    A nested item is a part of the item above it. A line that only introduces the items below it
    ("The strengths are:", "**Major**") is not an item.
    """
    items: list[list[str]] = []
    introduces = after_blank = False
    base: int | None = None
    for line in lines:
        if not line.strip():
            after_blank = True
            continue
        bullet, indent = _BULLET.fullmatch(line), _indent(line)
        if bullet and (base is None or indent < base + _NESTED):
            if introduces:
                items.pop()
            items.append([_unmarked(bullet)])
            base = indent if base is None else min(base, indent)
        elif bullet:
            items[-1].append(_unmarked(bullet))
        elif not items or _begins_item(line, indent, base, after_blank and not introduces):
            items.append([line.lstrip(" \t#")])
        else:
            items[-1].append(line)
        introduces = not bullet and len(items[-1]) == 1 and _introduces(line)
        after_blank = False
    folded = (" ".join(" ".join(item).split()) for item in items)
    return tuple(item for item in folded if item.strip(" *_-•"))


def _indent(line: str) -> int:
    line = line.expandtabs(4)
    return len(line) - len(line.lstrip())


def _unmarked(bullet: re.Match[str]) -> str:
    if bullet["bold"] is not None:
        return f"**{bullet['text']}"
    # "- 1. text": the number is a second mark.
    return _NUMBER.sub("", bullet["text"])


def _begins_item(line: str, indent: int, base: int | None, after_blank: bool) -> bool:
    if base is not None and indent > base:
        return False
    return after_blank or line.startswith("#") or _LEAD_IN.fullmatch(line) is not None


def _introduces(line: str) -> bool:
    lead_in = _LEAD_IN.fullmatch(line)
    label = lead_in is not None and not lead_in["rest"].strip()
    return label or line.rstrip().endswith(":") or line.startswith("#")


def is_whole(value: Value) -> bool:
    """Whether a text, or a list's last point, ends with the end of a sentence."""
    text = value if isinstance(value, str) else "".join(value[-1:])
    *_, last = (0, *sentence_ends(text))
    return last == len(text)


def without_the_cut(value: Value) -> Value:
    """A cut-off value up to its last whole sentence or point; all of it if it has none."""
    if isinstance(value, str):
        lines = (match.start() for match in _LINE_END.finditer(value))
        return value[: max((0, *sentence_ends(value), *lines))] or value
    *before, last = value
    *_, end = (0, *sentence_ends(last))
    if not end and not before:
        return value
    return (*before, last[:end]) if end else tuple(before)


def comparable(point: str) -> str:
    """A form in which points that differ only in case, space and punctuation are equal."""
    words: str = _ASIDE.sub(" ", point.casefold()).strip()
    return words
