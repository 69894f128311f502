"""Converts human reviews to the published review format by rules; no text is generated.

The review's own headings (SUMMARY, STRENGTHS AND WEAKNESSES) give the summary and the points. Text
under the heading of an aspect (Clarity, Significance, Soundness) becomes that section. Without such
a heading, a point on the writing, the importance or the evidence is moved there: at most one from
each list, and only if the list keeps another point. Sections without text are left out. The verdict
is the paper's decision; a review whose rating contradicts it is not used.

What a model could not know from the prompt is removed: points that cite a line, a page, or a
figure, table, section or equation that the paper's text does not mention, and references. A review
that mentions rebuttals, scores or acceptance is not used at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from app.review.decision import Decision
from app.review.parse import parse_review
from app.review.template import VERDICT_HEADING
from app.review.templates import published
from training.labels import verdict_line
from training.rows import HumanReview, PaperRow

_FORM = re.compile(r"^([A-Z][A-Z &]{3,40}):[ \t]*$", re.MULTILINE)
_SUMMARY = ("SUMMARY", "SUMMARY OF THE PAPER", "PAPER SUMMARY")
_POINTS = ("STRENGTHS AND WEAKNESSES",)
_MARKS = " \t#*_-•>:：[]()."
_LISTS = {
    "Strengths": re.compile(
        r"(?:(?:main|major|key|paper|the) ){0,2}"
        r"(?:stre?n\w*t\w*|pros?|positives?|strong(?: points?)?)(?: of the paper)?$",
        re.IGNORECASE,
    ),
    "Weaknesses": re.compile(
        r"(?:(?:main|major|minor|key|paper|the) ){0,2}"
        r"(?:we[ae]kn?\w*|cons?|negatives?|weak points?)(?: of the paper)?$",
        re.IGNORECASE,
    ),
}
_OUTCOME = re.compile(
    r"\b(?:rebuttals?|author'?s?'? (?:response|feedback|reply)|after (?:the )?discussion|"
    r"camera[- ]ready|(?:raise|increase|lower|decrease|reduce|update|adjust|keep|maintain|change|"
    r"revise|reconsider|improve|reevaluate)\w* (?:my|the|this|our) (?:\w+ )?"
    r"(?:scores?|rating|recommendation|evaluation|assessment)|"
    r"my (?:\w+ )?(?:scores?|rating|recommendation|evaluation|decision)|"
    r"(?:borderline|weak|strong|clear|lean\w*(?: towards?)?|recommend\w*|vot\w+ for|inclined to) "
    r"(?:an? |for |the |to )?(?:accept\w*|reject(?:ion|ing)?)\b|"
    r"(?:be|being|is|getting) (?:accepted|rejected)|to (?:accept|reject) (?:this|the|it)\b|"
    r"(?:for|of|towards?|worthy of|nips|neurips) (?:acceptance|rejection)\b(?! (?:rate|samp))|"
    r"(?:accept|reject)(?:ance|ion) (?:of (?:this|the) (?:paper|work|submission)|threshold|bar)|"
    r"neurips (?:standard|bar|level)|(?:reviewer|score) ?: ?\d)",
    re.IGNORECASE,
)
_PLACES = re.compile(r"\b(?:lines?|ll?\.|pages?|pp?\.|L)\s?\d+|\bL\d{2,4}\b", re.IGNORECASE)
_CITED = re.compile(
    r"\b(fig(?:ure)?s?|tab(?:le)?s?|sec(?:tion)?s?|eq(?:uation|n)?s?|app(?:endix)?|algorithm|"
    r"theorem|lemma|proposition|corollary|definition|assumption)\.?[\s~]*\(?"
    r"((?:\d+|[A-Z](?=[\s.,;:)\d]))(?:\.\d+)*)",
    re.IGNORECASE,
)
_KINDS = {"fig": "fig", "tab": "tab", "sec": "sec", "eq": "eq", "app": "app"}
_REFERENCE = re.compile(r"https?://|arxiv[:.]|^\[?\d+\]", re.IGNORECASE)
_LABEL = re.compile(r"^\W{0,3}(?:\w+[ &/-]){0,3}\w+\W{0,3}:\W{0,3}(?=\w)")
_MARKUP = re.compile(r"^[ \t]*#{1,6}[ \t]+|\*\*|__", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_ASPECTS = {
    "clarity": re.compile(
        r"\b(?:writing|written|clarity|unclear|(?:easy|hard|difficult) to (?:follow|read)|"
        r"clear(?:ly)? (?:writ\w+|present\w+|expla\w+|exposition|structure\w*|organi\w+)|"
        r"(?:is|are) (?:\w+ )?clear|readab\w+|presentation|notations?|typos?|exposition|"
        r"organi[sz]ed|confusing)\b",
        re.IGNORECASE,
    ),
    "significance": re.compile(
        r"\b(?:significan(?:t|ce) (?:of|for|to|contribution|problem|impact)|impact(?:ful)?|"
        r"importan(?:t|ce)|relevan(?:t|ce)|timely|novel(?:ty)?|original(?:ity)?|incremental|"
        r"practical (?:value|use|relevance)|interesting|contribution)\b",
        re.IGNORECASE,
    ),
    "technical_soundness": re.compile(
        r"\b(?:sound(?:ness)?|rigorous|rigor|theor\w+|proofs?|assumptions?|correct(?:ness)?|"
        r"experiment\w*|baselines?|ablation\w*|evaluation\w*|empirical\w*|datasets?|benchmarks?|"
        r"justif\w+|analysis|statistical\w*|convergence)\b",
        re.IGNORECASE,
    ),
}
"""In the order in which sections choose their points: clarity and significance match fewer."""


class Unusable(Exception):
    """A review can't be used as a target. ``reason`` is a code, ``detail`` a text or empty."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def target_of(paper: PaperRow, review: HumanReview, text: str, least_words: int) -> str:
    """The review as a target. ``text`` is the paper's blinded text, as in prompts.

    Raises:
        Unusable: it can't be used.
    """
    decision = _agreed_decision(paper, review)
    outcome = _OUTCOME.search(review.text)
    if outcome:
        raise Unusable("mentions_outcome", outcome[0])
    form = _by_heading(review.text)
    summary = next((form[name] for name in _SUMMARY if form.get(name)), "")
    points = next((form[name] for name in _POINTS if form.get(name)), "")
    if not summary or not points:
        raise Unusable("no_headings")
    parsed = parse_review(_marked(points), published().sections)
    lists = [parsed.points.get(name, ()) for name in ("strengths", "weaknesses")]
    if not all(lists):
        raise Unusable("no_headings", "strengths and weaknesses are not separated")
    mentioned = _mentioned(text)
    strengths, weaknesses = (
        [point for point in map(_tidy, points) if _is_knowable(point, mentioned)]
        for points in lists
    )
    summary = _knowable_text(summary, mentioned)
    if not summary or not strengths or not weaknesses:
        raise Unusable("nothing_left", "all points cite something that is not in the prompt")
    labelled = {name: _knowable_text(parsed.prose.get(name, ""), mentioned) for name in _ASPECTS}
    target = _written(decision, summary, strengths, weaknesses, labelled)
    words = len(target.split())
    if words < least_words:
        raise Unusable("too_short", f"{words} words")
    return target


def _agreed_decision(paper: PaperRow, review: HumanReview) -> Decision:
    """The paper's decision, if the review's rating agrees with it."""
    if review.meta:
        raise Unusable("meta_review")
    if paper.decision is None:
        raise Unusable("no_official_decision")
    if review.rating is None:
        raise Unusable("no_rating")
    middle = sum(paper.rating_scale) / 2
    if review.rating == middle or (review.rating > middle) != (paper.decision == "accept"):
        raise Unusable(
            "contradicts_decision", f"rated {review.rating:g}, the paper: {paper.decision}"
        )
    return paper.decision


def _by_heading(text: str) -> dict[str, str]:
    """The fields of the review form, by their headings."""
    pieces = _FORM.split(text)
    return {
        heading.strip(): body.strip()
        for heading, body in zip(pieces[1::2], pieces[2::2], strict=True)
    }


def _marked(points: str) -> str:
    """The points with their two headings ("Strengths", "Weaknesses") as Markdown headings."""
    return "\n".join(map(_marked_line, points.split("\n")))


def _marked_line(line: str) -> str:
    name, colon, rest = line.replace("：", ":").partition(":")
    for heading, pattern in _LISTS.items():
        if pattern.fullmatch(line.strip(_MARKS)):
            return f"## {heading}"
        if colon and pattern.fullmatch(name.strip(_MARKS)):
            return f"## {heading}\n{rest.strip(' *_')}"
    return line


def _tidy(point: str) -> str:
    """A point on one line, without list markers."""
    point = _MARKUP.sub("", point)
    return re.sub(r"^(?:\(?[a-zA-Z]?\d{1,2}[.):]|\W{1,3}(?=\w))\s*", "", " ".join(point.split()))


def _mentioned(text: str) -> set[tuple[str, str]]:
    return {_cited(match) for match in _CITED.finditer(text)}


def _cited(match: re.Match[str]) -> tuple[str, str]:
    word = match[1].lower()
    kind = next((kind for start, kind in _KINDS.items() if word.startswith(start)), word)
    return kind, match[2].upper()


def _knowable_text(text: str, mentioned: set[tuple[str, str]]) -> str:
    """The sentences of a text that can be known from the prompt."""
    sentences = _SENTENCE.split(" ".join(_MARKUP.sub("", text).split()))
    return " ".join(part for part in sentences if _is_knowable(part, mentioned))


def _is_knowable(point: str, mentioned: set[tuple[str, str]]) -> bool:
    """Whether the point can be known from the prompt."""
    if not point or _PLACES.search(point) or _REFERENCE.search(point):
        return False
    return all(_cited(match) in mentioned for match in _CITED.finditer(point))


def _written(
    decision: Decision,
    summary: str,
    strengths: list[str],
    weaknesses: list[str],
    labelled: Mapping[str, str],
) -> str:
    """The target's text. ``labelled`` is the text under the headings of aspects, by aspect."""
    aspects = {name: [text] if text else [] for name, text in labelled.items()}
    for name, pattern in _ASPECTS.items():
        for points in (strengths, weaknesses):
            about = next((point for point in points if pattern.search(point)), None)
            if about is not None and len(points) > 1 and not labelled[name]:
                points.remove(about)
                aspects[name].append(_sentence(_LABEL.sub("", about)))
    bodies = {
        "summary": _capital(summary),
        "strengths": _bulleted(strengths),
        "weaknesses": _bulleted(weaknesses),
        **{name: _capital(" ".join(points)) for name, points in aspects.items()},
    }
    parts = [
        f"## {spec.heading}\n{bodies[spec.field]}"
        for spec in published().sections
        if bodies[spec.field]
    ]
    parts.append(f"## {VERDICT_HEADING}\n{verdict_line(decision)}")
    return "\n\n".join(parts)


def _bulleted(points: Iterable[str]) -> str:
    return "\n".join(f"- {_capital(point)}" for point in points)


def _sentence(point: str) -> str:
    whole = _capital(point)
    return whole if whole.endswith((".", "!", "?")) else f"{whole}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def longest_first(reviews: Sequence[HumanReview]) -> list[HumanReview]:
    return sorted(reviews, key=lambda review: -len(review.text))
