"""Output of the ``reviewer`` command on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, Protocol

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from app.errors import ReviewerError

if TYPE_CHECKING:
    from app.api.schemas.review import Point, Review, Verdict
    from app.paper.model import Paper

out = Console()
err = Console(stderr=True)


class Finding(Protocol):
    """A finding of ``app.paper`` or of the API's resource."""

    @property
    def page(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...


def show_review(review: Review, out: Console, err: Console) -> None:
    """Print the text, the evidence and the verdict on ``out``, and suspicious text on ``err``."""
    out.print(Markdown(review.text))
    if review.review:
        _show_evidence([*review.review.strengths, *review.review.weaknesses], out)
    out.print(_verdict_line(review.verdict))
    _show_findings([*review.integrity.hidden_text, *review.integrity.visible_instructions], err)


def _show_findings(findings: Sequence[Finding], err: Console) -> None:
    for found in findings:
        line = f"page {found.page}: {found.kind}: {found.text}"
        err.print(line, style="yellow", markup=False, highlight=False)


def _show_evidence(points: list[Point], out: Console) -> None:
    table = Table("point", "page", "the paper says", title="Evidence", title_justify="left")
    for point in points:
        best = point.evidence[0] if point.evidence else None
        missing = f"not in the paper: {', '.join(point.unsupported)}" if point.unsupported else ""
        if best or missing:
            quote = Text(best.quote if best else "")
            quote.append(f"{' ' if best else ''}{missing}", style="yellow")
            table.add_row(Text(point.text), str(best.page) if best else "", quote)
    if table.row_count:
        out.print(table)


def _verdict_line(verdict: Verdict) -> str:
    decision = verdict.decision or "no decision"
    if verdict.probability is None:
        return f"\nVerdict: {decision}"
    line = f"\nVerdict: {decision}, probability of acceptance {verdict.probability:.2f}"
    if verdict.spread is not None:
        line += f" (of {len(verdict.samples)} samples, standard deviation {verdict.spread:.2f})"
    return line + ("" if verdict.calibrated else ", not calibrated")


def show_outline(paper: Paper, out: Console, err: Console) -> None:
    """Print the title and the headings on ``out``, and suspicious text on ``err``."""
    out.print(paper.title or "(no title)", style="bold", markup=False, highlight=False)
    table = Table("page", "section", "kind", "characters")
    table.add_row("", "Abstract", "", str(len(paper.abstract)))
    for section in paper.sections:
        heading = "  " * (section.level - 1) + (section.heading or "–")
        table.add_row(str(section.page), Text(heading), section.kind, str(len(section.text)))
    out.print(table)
    integrity = paper.integrity
    _show_findings([*integrity.hidden_text, *integrity.visible_instructions], err)
    if integrity.blinded:
        err.print(f"blinded: {', '.join(integrity.blinded)}", highlight=False)
    if integrity.repaired:
        err.print("The PDF was damaged: text may be missing.", style="yellow")
    if integrity.ocr_pages:
        err.print(f"read by OCR: {len(integrity.ocr_pages)} pages", style="yellow")


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn a known error into a message and exit status 2."""
    try:
        yield
    except ReviewerError as error:
        fail(f"{error.message} ({error.code})")
    except OSError as error:
        fail(str(error))


def fail(message: str, status: int = 2) -> NoReturn:
    err.print(f"reviewer: {message}", style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(status)
