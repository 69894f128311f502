"""A PeerRead clone that was made up, by the layout of the real one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BODY = "The method is described here in a sentence that has some length and says little. " * 6


def add_paper(
    clone: Path,
    venue: str,
    split: str,
    name: str,
    *,
    title: str = "",
    accepted: bool | None = None,
    reviews: Sequence[dict[str, Any]] = (),
    sections: Sequence[tuple[str | None, str]] | None = None,
    parsed: bool = True,
) -> None:
    """One paper of the clone in ``clone``; without ``parsed`` there is no text of it."""
    folder = clone / "data" / venue / split
    for part in ("reviews", "parsed_pdfs", "pdfs"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    listed: dict[str, Any] = {
        "title": title or f"Paper {name} of {venue}",
        "abstract": f"We study {name}.",
        "id": name,
        "reviews": list(reviews),
    }
    if accepted is not None:
        listed["accepted"] = accepted
    (folder / "reviews" / f"{name}.json").write_text(json.dumps(listed))
    if parsed:
        if sections is None:
            sections = [("1 INTRODUCTION", BODY), ("2 CONCLUSION", BODY)]
        metadata = {
            "source": "CRF",
            "title": None,
            "authors": ["Ann Author"],
            "emails": ["ann@example.edu"],
            "sections": [{"heading": heading, "text": text} for heading, text in sections],
            "references": [],
            "abstractText": None,
        }
        content = json.dumps({"name": f"{name}.pdf", "metadata": metadata})
        (folder / "parsed_pdfs" / f"{name}.pdf.json").write_text(content)


def iclr_review(rating: int | None, text: str, **more: object) -> dict[str, Any]:
    review = {"TITLE": "", "comments": text, "IS_META_REVIEW": False, "REVIEWER_CONFIDENCE": 4}
    return review | ({} if rating is None else {"RECOMMENDATION": rating}) | more
