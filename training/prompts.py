"""A paper's row -> the prompt that the service would make of it."""

from __future__ import annotations

from app.engine.base import Tokenizer
from app.review.packing import Prompt, pack
from app.review.template import Template
from app.review.templates import published
from training.rows import PaperRow, blinded_paper


def prompt_of(
    row: PaperRow, tokenizer: Tokenizer, budget: int, template: Template | None = None
) -> Prompt:
    """The blinded paper in at most ``budget`` tokens, chat template included.

    Raises:
        InputInvalid: the paper has no text.
        app.errors.InvalidRequest: the budget leaves no room for it.
    """
    return pack(blinded_paper(row), tokenizer, budget, template or published())
