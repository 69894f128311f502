"""A paper's label, accepted or rejected, from the source that the recipe names."""

from __future__ import annotations

from collections.abc import Mapping

from app.review.decision import Decision
from app.review.template import ACCEPTANCE, REJECTION, VERDICT_LEAD
from training.errors import RecipeError
from training.recipe import Label
from training.rows import PaperRow

DECISIONS: tuple[Decision, Decision] = ("accept", "reject")
_VERDICTS: Mapping[Decision, str] = {"accept": ACCEPTANCE, "reject": REJECTION}


def label_of(paper: PaperRow, label: Label) -> Decision | None:
    """The paper's label; None if the source has none for it.

    Raises:
        RecipeError: the source is ``rating``, and the paper's venue has no threshold.
    """
    if label.source == "official":
        return paper.decision
    if paper.venue not in label.thresholds:
        raise RecipeError(
            f"label.thresholds has no threshold for the venue {paper.venue!r}, whose ratings go "
            f"from {paper.rating_scale[0]:g} to {paper.rating_scale[1]:g}"
        )
    mean = paper.mean_rating
    if mean is None:
        return None
    return "accept" if mean >= label.thresholds[paper.venue] else "reject"


def verdict_line(decision: Decision) -> str:
    """A review's last line, exactly as the prompt asks for it."""
    return f"{VERDICT_LEAD} {_VERDICTS[decision]}."
