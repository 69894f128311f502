"""Completed reviews as files."""

from __future__ import annotations

import csv
import io
import time

from app.api.schemas.review import Point, Review, ReviewSections
from app.review.template import (
    ACCEPTANCE,
    LISTS,
    PROSE,
    REJECTION,
    VERDICT_HEADING,
    VERDICT_LEAD,
    Template,
)

_FINAL = {
    "accept": f"{VERDICT_LEAD} {ACCEPTANCE}.",
    "reject": f"{VERDICT_LEAD} {REJECTION}.",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def markdown_of(review: Review) -> str:
    """The review as Markdown: the verdict, the model's text, and the evidence for its points."""
    verdict = review.verdict
    parts = [f"# Review of “{review.paper.title}”"]
    if review.notice:
        parts.append(f"> {review.notice}")
    summary = f"**{verdict.decision or 'no decision'}**"
    if verdict.probability is not None:
        summary += f", probability of acceptance {verdict.probability:.2f}"
        summary += "" if verdict.calibrated else " (not calibrated)"
    parts += [f"Verdict: {summary}", review.text.strip()]
    points = [*review.review.strengths, *review.review.weaknesses] if review.review else []
    evidence = [line for point in points for line in _evidence(point)]
    if evidence:
        parts += ["## Evidence in the paper", "\n".join(evidence)]
    day = time.strftime("%Y-%m-%d", time.gmtime(review.created))
    parts.append(
        f"---\n\n{review.id}, {day}, by {review.model} with the template {review.template}."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def form_of(review: Review, template: Template) -> str:
    """The review in a template's form: its headings in order, with what the review has of them.

    Sections that the template does not have come last.
    """
    sections = review.review or ReviewSections()
    contents: dict[str, str | list[str]] = {
        **{field: getattr(sections, field) for field in PROSE},
        **{field: [point.text for point in getattr(sections, field)] for field in LISTS},
        **sections.other,
    }
    parts = [
        f"## {section.heading}\n{_content(contents.pop(section.field, ''))}"
        for section in template.sections
    ]
    parts += [
        f"## {field.replace('_', ' ').capitalize()}\n{_content(content)}"
        for field, content in contents.items()
        if content
    ]
    decision = review.verdict.decision or "no decision"
    parts.append(f"## {VERDICT_HEADING}\n{_FINAL.get(decision, decision.capitalize() + '.')}")
    return "\n\n".join(parts) + "\n"


def _content(content: str | list[str]) -> str:
    if isinstance(content, str):
        return content.strip()
    return "\n".join(f"- {' '.join(text.split())}" for text in content)


def _evidence(point: Point) -> list[str]:
    found = [f"  - page {passage.page}: “{passage.quote}”" for passage in point.evidence[:1]]
    if point.unsupported:
        found.append(f"  - not in the paper: {', '.join(point.unsupported)}")
    return [f"- {' '.join(point.text.split())}", *found] if found else []


def csv_of(review: Review) -> str:
    """The review as CSV: a header and one row."""
    verdict, sections = review.verdict, review.review
    values = {
        "id": review.id,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(review.created)),
        "title": review.paper.title,
        "sha256": review.paper.sha256,
        "model": review.model,
        "template": review.template,
        "decision": verdict.decision or "",
        "probability": verdict.probability,
        "calibrated": verdict.calibrated,
        "summary": sections.summary if sections else "",
        "strengths": _lines(sections.strengths) if sections else "",
        "weaknesses": _lines(sections.weaknesses) if sections else "",
        "truncated": bool(review.integrity.truncated),
        "hidden_text": len(review.integrity.hidden_text),
    }
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(values)
    writer.writerow([_harmless(value) for value in values.values()])
    return file.getvalue()


def _lines(points: list[Point]) -> str:
    return "\n".join(point.text for point in points)


def _harmless(value: object) -> object:
    """Prefix text that a spreadsheet would run as a formula with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
