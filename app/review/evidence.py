"""Finds the paper's passages about a review's points, and claims that the paper does not contain.

Passages are one to three sentences, ranked by BM25. A passage shows where to look, not that the
point is right. A claim in ``unsupported`` is not found in the paper, which does not mean that it is
false: see ``app.review.claims``.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import bm25s
import numpy as np

from app.paper.model import Anchor, BBox, Paper, Paragraph
from app.paper.sentences import sentence_ends
from app.review.claims import ClaimChecker, labels_in, normalised

# bm25s logs its progress through the root logger at DEBUG and INFO.
logging.getLogger("bm25s").setLevel(logging.WARNING)

_MOST_PASSAGES = 3
_LEAST_SCORE = 0.12
"""A passage with a lower score shares words with the point by chance."""
_OF_THE_BEST = 0.6
"""Least score of a second or third passage, as a part of the best score."""
_PAGE_WEIGHT = 0.3
"""Weight of the whole page's score, relative to the passage's own."""
_UNKNOWN_WEIGHT = 0.3
"""Weight of words that the paper never uses: much of a review is in the reviewer's own words."""
_BOOST = 2
"""How often a number, a label or a name of the point is counted."""
_SENTENCES = 3
_LONGEST_POINT = 4_000
_LONGEST_SENTENCE = 400
_STEM = 6
"""Letters of a word that are compared; later ones are mostly inflection."""
_UP = 20.0
"""A line that is this many PDF points above the previous one begins a new column."""
_PARAGRAPH_END = re.compile(r"\n\n")
_TOKEN = re.compile(r"\d{1,18}(?:[.,]\d{1,15}){0,6}|[^\W\d_]+")
_NAME = re.compile(
    r"\b[A-Za-z]{0,20}(?:[a-z][A-Z]|[A-Z]{2})[A-Za-z]{0,20}\b|\b[A-Za-z]{2,20}-?\d{1,4}\b"
)
_STOP_WORDS = frozenset(
    "a about above after again all also although always an and any are as at be because been "  # noqa: SIM905
    "before being below between both but by can cannot could did do does done each either "
    "else even ever every few for from further get given gives good had has have having hence "
    "here how however i if in instead into is it its itself just least less like made many "
    "may might more most much must need neither no nor not of often on once one only onto or "
    "other our out over own paper per quite rather really same several shall she should since "
    "so some still such than that the their them then there therefore these they this those "
    "though through thus to too toward towards under until up upon us use used uses using "
    "very was way we well were what when where whereas whether which while who whom whose why "
    "will with within without would yet you your authors work s t".split()
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A verbatim quote from the paper. ``bbox`` is x0, y0, x1, y1 in PDF points; it and ``page``
    are zero for a paper without pages.

    ``score`` is from 0 to 1: the BM25 score of the passage and, with less weight, of its page,
    divided by the highest score that any text could get for the point. It is not a probability.
    """

    page: int
    quote: str
    bbox: BBox
    score: float


@dataclass(frozen=True, slots=True)
class Support:
    """A point's passages in the paper, at most three, the best first.

    ``unsupported`` are the point's labels, numbers, names, quotations and citations that the paper
    does not contain, as the point writes them.
    """

    evidence: tuple[Passage, ...] = ()
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Window:
    """Sentences ``start`` to ``end`` of a paragraph, all on one page and in one column."""

    paragraph: Paragraph
    start: int
    end: int
    page: int

    @property
    def text(self) -> str:
        return self.paragraph.text[self.start : self.end]


def find_supports(paper: Paper, texts: Sequence[str]) -> tuple[Support, ...]:
    """The evidence for each of ``texts``, in their order."""
    finder = EvidenceFinder(paper)
    return tuple(finder.support(text) for text in texts)


class EvidenceFinder:
    """A search index of one paper. Accepts any text as a query without raising."""

    def __init__(self, paper: Paper) -> None:
        self._claims = ClaimChecker(paper)
        self._windows = [window for text in _paragraphs(paper) for window in _windows(text)]
        self._passages = _Index([_tokens(window.text) for window in self._windows])
        pages: dict[int, list[str]] = {}
        for paragraph in _paragraphs(paper):
            for start, end, page in _runs(paragraph):
                pages.setdefault(page, []).extend(_tokens(paragraph.text[start:end]))
        self._pages = _Index(list(pages.values()))
        rows = {page: row for row, page in enumerate(pages)}
        self._rows = np.array([rows[window.page] for window in self._windows], dtype=np.intp)

    def support(self, text: str) -> Support:
        """The passages about a text, and its claims that the paper does not contain."""
        return Support(self._evidence(text), self._claims.unsupported(text))

    def _evidence(self, text: str) -> tuple[Passage, ...]:
        query = _query(text)
        if not self._windows or not query:
            return ()
        scores = self._passages.scores(query)
        scores += _PAGE_WEIGHT * self._pages.scores(query)[self._rows]
        scores /= 1 + _PAGE_WEIGHT
        chosen: list[_Window] = []
        passages: list[Passage] = []
        least = max(_LEAST_SCORE, _OF_THE_BEST * float(scores.max()))
        for row in np.argsort(-scores, kind="stable"):
            score = float(scores[row])
            if score < least or len(chosen) == _MOST_PASSAGES:
                break
            window = self._windows[row]
            if not any(_overlap(window, other) for other in chosen):
                chosen.append(window)
                passages.append(_passage(window, score))
        return tuple(passages)


class _Index:
    """BM25 over token lists; scores are divided by the highest score that a text could get."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        self._count = len(documents)
        self._frequencies = Counter(token for tokens in documents for token in set(tokens))
        self._bm25 = bm25s.BM25(method="lucene", backend="numpy", csc_backend="numpy")
        if self._frequencies:
            self._bm25.index([list(tokens) for tokens in documents], show_progress=False)

    def scores(self, query: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        known = [token for token in query if token in self._frequencies]
        most = sum(map(self._weight, query))
        if not known or not most:
            return np.zeros(self._count)
        scores = np.asarray(self._bm25.get_scores(known), dtype=np.float64)
        return np.clip(scores / most, 0.0, 1.0)

    def _weight(self, token: str) -> float:
        """The token's inverse document frequency, the most that it can add to a score."""
        holding = self._frequencies[token]
        weight = math.log(1 + (self._count - holding + 0.5) / (holding + 0.5))
        return weight if holding else _UNKNOWN_WEIGHT * weight


def _paragraphs(paper: Paper) -> Iterator[Paragraph]:
    """Abstract, body and appendix; not references, front matter or checklist."""
    if paper.abstract.strip():
        yield Paragraph(paper.abstract, "text", paper.abstract_anchors)
    for section in paper.sections:
        if section.kind in ("body", "appendix"):
            yield from section.paragraphs


def _runs(paragraph: Paragraph) -> Iterator[tuple[int, int, int]]:
    """Start, end and page of each part of a paragraph that lies on one page, in one column."""
    if not paragraph.anchors:
        yield 0, len(paragraph.text), 0
        return
    first = before = paragraph.anchors[0]
    for anchor in paragraph.anchors[1:]:
        if anchor.page != before.page or anchor.bbox[1] < before.bbox[1] - _UP:
            yield first.start, before.end, first.page
            first = anchor
        before = anchor
    yield first.start, before.end, first.page


def _windows(paragraph: Paragraph) -> Iterator[_Window]:
    for start, end, page in _runs(paragraph):
        sentences = list(_sentences(paragraph.text, start, end))
        for first, (begin, _) in enumerate(sentences):
            lasts = sentences[first : first + _SENTENCES]
            yield from (_Window(paragraph, begin, last, page) for _, last in lasts)


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence, without surrounding space; long sentences in pieces."""
    paragraphs = (match.end() for match in _PARAGRAPH_END.finditer(text, start, end))
    cuts = sorted({start, *sentence_ends(text, start, end), *paragraphs, end})
    for first, last in pairwise(cuts):
        for piece, after in _pieces(text, first, last):
            bare = text[piece:after]
            left = len(bare) - len(bare.lstrip())
            if stripped := bare.strip():
                yield piece + left, piece + left + len(stripped)


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Pieces of at most ``_LONGEST_SENTENCE`` characters, cut at spaces where possible."""
    while end - start > _LONGEST_SENTENCE:
        cut = text.rfind(" ", start + 1, start + _LONGEST_SENTENCE)
        cut = cut if cut > start else start + _LONGEST_SENTENCE
        yield start, cut
        start = cut
    yield start, end


def _overlap(window: _Window, other: _Window) -> bool:
    return (
        window.paragraph is other.paragraph
        and window.start < other.end
        and other.start < window.end
    )


def _passage(window: _Window, score: float) -> Passage:
    boxes = [anchor.bbox for anchor in _lines(window)]
    bbox = _union(boxes) if boxes else (0.0, 0.0, 0.0, 0.0)
    return Passage(window.page, window.text, bbox, round(score, 4))


def _lines(window: _Window) -> Iterator[Anchor]:
    for anchor in window.paragraph.anchors:
        on_page = anchor.page == window.page
        if on_page and anchor.start < window.end and anchor.end > window.start:
            yield anchor


def _union(boxes: Sequence[BBox]) -> BBox:
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _query(text: str) -> list[str]:
    """Each token once; numbers, labels and names ``_BOOST`` times."""
    tokens = dict.fromkeys(_tokens(text[:_LONGEST_POINT]))
    return [token for token in tokens for _ in range(_BOOST if _particular(token) else 1)]


def _particular(token: str) -> bool:
    return token[0].isdigit() or token[0] in "#@"


def _tokens(text: str) -> list[str]:
    """Stems and numbers; in addition ``#table3`` for "Table 3" and ``@gpt4`` for "GPT-4"."""
    text = normalised(text)
    lower = text.lower()
    tokens = [f"#{kind}{key}" for kind, key in labels_in(text)]
    tokens += (f"@{match[0].lower().replace('-', '')}" for match in _NAME.finditer(text))
    for match in _TOKEN.finditer(lower):
        word = match[0]
        if word[0].isdigit():
            tokens.append(_number(word))
        elif word not in _STOP_WORDS:
            tokens.append(_stem(word))
    return tokens


def _number(digits: str) -> str:
    """A numeral without separators and trailing zeros: 72.4 for 72.40, 1024 for 1,024."""
    bare = digits.replace(",", "")
    return bare.rstrip("0").rstrip(".") if bare.count(".") == 1 else bare


def _stem(word: str) -> str:
    for ending in ("ies", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(ending)
            break
    return word[:_STEM]
