"""Removes comments, scripts and hidden elements from HTML within Markdown."""

from __future__ import annotations

import re

_TAG = re.compile(r"<!--|<(?P<close>/?)(?P<name>[a-zA-Z][\w-]*+)(?P<attributes>[^<>]*+)>")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_COLOUR = r"[\s\"';]color\s*[:=]\s*[\"']?"
_HIDING = {
    "hidden_element": re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|\shidden\b", re.I),
    "tiny": re.compile(r"font-size\s*:\s*(0+(\.0+)?(?![.\d])|[01](\.\d+)?p[xt])", re.I),
    "transparent": re.compile(rf"opacity\s*:\s*0(\.0\d*)?(?![.\d])|{_COLOUR}transparent", re.I),
    "invisible_colour": re.compile(rf"{_COLOUR}(white\b|#fff(fff)?\b)", re.I),
}
_BACKGROUND = re.compile(r"background|bgcolor", re.I)
_VOID = frozenset(("br", "hr", "img", "input", "meta", "link", "wbr"))
_NO_TEXT = frozenset(("script", "style", "template"))


def without_hidden_markup(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The text without comments and hidden elements, and the hidden elements as (kind, text).

    A hidden element without a closing tag ends at the next blank line.
    """
    shown: list[str] = []
    hidden: list[tuple[str, str]] = []
    closings = _pairs(list(_TAG.finditer(text)))
    at = 0
    while match := _TAG.search(text, at):
        shown.append(text[at : match.start()])
        at = match.end()
        if match[0] == "<!--":
            end = text.find("-->", at)
            at = len(text) if end < 0 else end + 3
            continue
        kind = "" if match["close"] else _hides(match["name"].lower(), match["attributes"])
        if not kind:
            shown.append(match[0])
            continue
        closing = closings.get(match.start())
        blank = None if closing else _BLANK_LINE.search(text, at)
        end = closing.start() if closing else blank.start() if blank else len(text)
        at = closing.end() if closing else end
        content = _TAG.sub(" ", text[match.end() : end]).strip()
        if content and kind != "no_text":
            hidden.append((kind, content))
    shown.append(text[at:])
    return "".join(shown), hidden


def _hides(name: str, attributes: str) -> str:
    if name in _NO_TEXT:
        return "no_text"
    if name in _VOID:
        return ""
    for kind, pattern in _HIDING.items():
        if pattern.search(attributes):
            on_colour = kind == "invisible_colour" and _BACKGROUND.search(attributes)
            return "" if on_colour else kind
    return ""


def _pairs(tags: list[re.Match[str]]) -> dict[int, re.Match[str]]:
    """The closing tags of elements, by the offset of the opening tag."""
    pairs: dict[int, re.Match[str]] = {}
    opened: dict[str, list[int]] = {}
    for tag in tags:
        name = (tag["name"] or "").lower()
        if not tag["close"]:
            opened.setdefault(name, []).append(tag.start())
        elif opened.get(name):
            pairs[opened[name].pop()] = tag
    return pairs
