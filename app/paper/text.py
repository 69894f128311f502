"""Reads papers from Markdown and plain text."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import yaml  # type: ignore[import-untyped]
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.errors import TextUnreadable
from app.paper.clean import clean
from app.paper.markup import without_hidden_markup
from app.paper.model import (
    Finding,
    Integrity,
    Paper,
    Paragraph,
    ParagraphKind,
    Section,
    SectionKind,
)
from app.paper.section_names import PLAIN_HEADING, section_kind

_MARK = re.compile(r"(#{1,6})\s+(\S.{0,200})")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
_MOST_CHARACTERS = 5_000_000
_LONGEST_FRONT_MATTER = 20_000
_NUMBERED = re.compile(
    r"(\d{1,2}(\.\d{1,2}){0,3}[.)]?|[IVX]{1,5}[.)]|[A-Z]([.)]|(\.\d{1,2}){1,3}))\s+[^\W\d_].*"
)
_RUN_IN_ABSTRACT = re.compile(
    r"[*_]{0,2}abstract[*_]{0,2}\s?[.:—–-]+\s?[*_]{0,2}\s*", re.IGNORECASE
)
_LONGEST_HEADING, _LONGEST_TITLE = 100, 300
_IMAGE = re.compile(r"!\[([^\[\]]*)\]\([^()]*\)")
_NOTE = re.compile(r"\[\^[^\]]{1,50}\]:")
# Only blocks are parsed: paragraphs keep their Markdown source, which models understand.
_PARSER = MarkdownIt("commonmark").enable("table").disable("inline")


@dataclass(slots=True)
class _Part:
    heading: str
    depth: int
    blocks: list[Paragraph] = field(default_factory=list)
    kind: SectionKind | None = None


def paper_from_text(title: str, abstract: str, body: str) -> Paper:
    """A paper from plain texts: paragraphs end at blank lines, lines with ``#`` are headings."""
    parts = [_Part("", 1)]
    for block in re.split(r"\n\s*\n", body):
        first, _, rest = block.strip().partition("\n")
        mark = _MARK.fullmatch(first)
        if mark:
            parts.append(_Part(_unclosed(mark[2]), len(mark[1])))
        parts[-1].blocks += _paragraph(rest if mark else block)
    return Paper(title=clean(title), abstract=_whole(abstract), sections=_sections(parts))


def paper_from_sections(title: str, abstract: str, sections: Iterable[tuple[str, str]]) -> Paper:
    """A paper from pairs of heading and text, each line of which is a paragraph.

    Levels are taken from the headings' numbers. Sections before the first heading are front matter.
    """
    parts: list[_Part] = []
    for heading, text in sections:
        heading = " ".join(heading.split())
        depth = _plain_depth(heading) if _NUMBERED.fullmatch(heading) else 1
        paragraphs = [part for line in text.split("\n") for part in _paragraph(line)]
        parts.append(_Part(heading, depth, paragraphs))
    first = next((index for index, part in enumerate(parts) if part.heading), 0)
    for part in parts[:first]:
        part.kind = "front_matter"
    return Paper(title=clean(title), abstract=_whole(abstract), sections=_sections(parts))


def paper_from_markdown(source: bytes | str) -> Paper:
    """A paper from Markdown, or from plain text if no line is marked as a heading.

    The title is the first heading of level 1, or given in YAML front matter, as the abstract may
    be. Text that HTML hides is removed, and reported in ``integrity.hidden_text`` on page 0.

    Raises:
        TextUnreadable: the text is empty or far too long.
    """
    text = source if isinstance(source, str) else _decode(source)
    if len(text) > _MOST_CHARACTERS:
        raise TextUnreadable(
            f"The text is longer than {_MOST_CHARACTERS:,} characters.", param="file"
        )
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    given, text = _front_matter(text)
    text, hidden = without_hidden_markup(text)
    parts = _marked_parts(text)
    if len(parts) == 1:
        parts = _plain_parts(text)
    title, parts = _title(given.get("title", ""), parts)
    abstract, parts = _abstract(given.get("abstract", ""), parts)
    parts.insert(0, _Part("", 1, _paragraph(given.get("author", "")), "front_matter"))
    sections = _sections(parts)
    if not abstract and not any(section.paragraphs for section in sections):
        raise TextUnreadable("The file contains no text.", param="file")
    return Paper(
        title=title,
        abstract=abstract,
        sections=sections,
        sha256=hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else "",
        integrity=Integrity(
            hidden_text=tuple(Finding(0, kind, clean(text), (0, 0, 0, 0)) for kind, text in hidden)
        ),
    )


def _unclosed(heading: str) -> str:
    """A heading without the closing ``#`` marks."""
    bare = heading.rstrip().rstrip("#")
    return bare if bare.endswith(" ") else heading


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _tidy(text: str) -> str:
    """The lines without control characters. Backticks are replaced, as ``clean`` reads accents."""
    lines = (clean(line) for line in text.replace("`", "'").split("\n"))
    return "\n".join(line for line in lines if line)


def _whole(text: str) -> str:
    """The paragraphs of a text, separated by blank lines."""
    return "\n\n".join(filter(None, map(_tidy, re.split(r"\n\s*\n", text))))


def _paragraph(text: str, kind: ParagraphKind = "text") -> list[Paragraph]:
    tidied = _tidy(text)
    return [Paragraph(tidied, kind)] if tidied else []


def _sections(parts: Sequence[_Part]) -> tuple[Section, ...]:
    """Sections with levels from 1; their kinds (appendix, ...) are recognised by the headings."""
    least = min((part.depth for part in parts if part.heading), default=1)
    sections: list[Section] = []
    for part in parts:
        heading = clean(part.heading.replace("`", "'"))
        if not heading and not part.blocks:
            continue
        level = part.depth - least + 1 if heading else 1
        before = sections[-1] if sections else None
        kind = part.kind or section_kind(heading, _kind_before(before))
        if before and kind == "body" and level > before.level:
            kind = _kind_before(before)
        sections.append(Section(heading, tuple(part.blocks), kind, level))
    return tuple(sections)


def _kind_before(before: Section | None) -> SectionKind:
    return before.kind if before and before.kind != "front_matter" else "body"


def _front_matter(text: str) -> tuple[dict[str, str], str]:
    """Title, abstract and author in the YAML front matter, and the text after it."""
    match = _FRONT_MATTER.match(text[:_LONGEST_FRONT_MATTER])
    if not match:
        return {}, text
    try:
        values = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}, text
    if not isinstance(values, dict):
        return {}, text
    given = {name: values.get(name) for name in ("title", "abstract", "author")}
    authors = given["author"] or values.get("authors")
    if isinstance(authors, list):
        given["author"] = ", ".join(name for name in authors if isinstance(name, str))
    return {name: str(v) for name, v in given.items() if isinstance(v, str)}, text[match.end() :]


def _marked_parts(text: str) -> list[_Part]:
    """The text, split at its Markdown headings."""
    lines = text.split("\n")
    parts = [_Part("", 1)]
    for token, content in _blocks(_PARSER.parse(text)):
        if token.type == "heading_open":
            parts.append(_Part(content, int(token.tag[1])))
        elif token.map:
            block = "\n".join(lines[slice(*token.map)])
            parts[-1].blocks += _paragraph(*_kind(token, block))
    return parts


def _blocks(tokens: Iterable[Token]) -> Iterator[tuple[Token, str]]:
    """The outermost blocks, with the text of those that are headings."""
    heading: Token | None = None
    for token in tokens:
        if token.level == 0 and token.nesting >= 0 and token.map:
            if token.type == "heading_open":
                heading = token
            else:
                yield token, ""
        elif heading and token.type == "inline":
            yield heading, token.content
            heading = None


def _kind(token: Token, block: str) -> tuple[str, ParagraphKind]:
    text = block.strip()
    if token.type == "table_open":
        return text, "table"
    if token.type == "fence":
        return text.strip("`~"), "text"
    image = _IMAGE.fullmatch(text)
    if image:
        return image[1], "caption"
    if text.startswith("$$") and text.endswith("$$") and len(text) > 4:
        return text, "equation"
    if _NOTE.match(text):
        return text, "footnote"
    return _IMAGE.sub(r"\1", text), "text"


def _plain_parts(text: str) -> list[_Part]:
    """The text, split at single lines that read like headings; the first such line is the title."""
    parts = [_Part("", 1)]
    blocks = re.split(r"\n\s*\n", text.strip())
    for index, block in enumerate(blocks):
        line = " ".join(block.split())
        if index == 0 and len(blocks) > 1 and len(line) <= _LONGEST_TITLE and not _is_usual(line):
            parts.append(_Part(line, 0))
        elif _is_plain_heading(block):
            parts.append(_Part(line, _plain_depth(line)))
        else:
            parts[-1].blocks += _paragraph(block)
    return parts


def _is_plain_heading(block: str) -> bool:
    line = block.strip()
    if "\n" in line or len(line) > _LONGEST_HEADING or line.endswith((".", ",", ";")):
        return False
    name = line.rstrip(":")
    capitals = line.isupper() and sum(map(str.isalpha, line)) > 3
    return capitals or _is_usual(name)


def _is_usual(heading: str) -> bool:
    """Whether a heading is a section's, by its name or number, and so not the title."""
    return bool(
        PLAIN_HEADING.fullmatch(heading)
        or _NUMBERED.fullmatch(heading)
        or section_kind(heading, "body") != "body"
    )


def _plain_depth(line: str) -> int:
    number = line.split()[0].rstrip(".)")
    return 1 + number.count(".")


def _title(given: str, parts: list[_Part]) -> tuple[str, list[_Part]]:
    """The title, and the parts without it."""
    first = next((index for index, part in enumerate(parts) if part.heading), None)
    if given or first is None or parts[first].depth > 1 or _is_usual(parts[first].heading):
        return clean(given), parts
    untitled = [block for part in parts[: first + 1] for block in part.blocks]
    title = clean(parts[first].heading.replace("`", "'"))
    return title, [_Part("", 1, untitled), *parts[first + 1 :]]


def _abstract(given: str, parts: list[_Part]) -> tuple[str, list[_Part]]:
    """The abstract, and the other parts; parts before the abstract become front matter."""
    for index, part in enumerate(parts):
        if part.heading.strip(" *_:.").lower() == "abstract":
            abstract = "\n\n".join(block.text for block in part.blocks)
            for before in parts[:index]:
                before.kind = before.kind if before.heading else "front_matter"
            return _whole(given) or abstract, [*parts[:index], *parts[index + 1 :]]
    blocks = parts[0].blocks
    for index, block in enumerate(blocks):
        run_in = _RUN_IN_ABSTRACT.match(block.text)
        if run_in and not parts[0].heading:
            front = _Part("", 1, blocks[:index], "front_matter")
            rest = [front, _Part("", 1, blocks[index + 1 :]), *parts[1:]]
            return _whole(given) or block.text[run_in.end() :], rest
    return _whole(given), parts
