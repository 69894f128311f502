"""Constrained reviews compared with unconstrained ones.

    python -m benchmarks.constrained [FOLDER] [--reviews 500]

FOLDER contains PDFs; by default the shared papers beside the checkout. The default CPU model
reviews them at temperature 0.8, 16 at a time, with prompts of 1,024 tokens and at most 256 new
ones; rounds of free (unconstrained) reviews alternate with constrained ones. Each constrained
review must have a decision and all sections. If all points of a section are repetitions of earlier
points, the service lists none of them; "with one that only repeats" counts such reviews. Tokens/s
are measured only while 16 reviews are in progress, not during the last ones of a round.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.engine.base import Engine, Generation
from app.engine.launcher import engine_launcher
from app.paper.model import Paper
from app.paper.pdf.extract import ExtractOptions, extract_paper
from app.review.packing import Prompt, pack
from app.review.parse import parse_review
from app.review.sectioning import SectionDone, SectionStream
from app.review.structure import Constraint, follows_format, review_structure, section_budgets
from app.review.templates import published
from app.settings import Settings
from benchmarks.report import Value, report
from tests.conftest import SHARED

AT_ONCE, PROMPT_TOKENS, NEW_TOKENS, TEMPERATURE = 16, 1024, 256, 0.8
PER_ROUND = 50
TEMPLATE = published()


@dataclass
class Arm:
    """The results of one variant."""

    structure: dict[str, Any] | None = None
    constraint: Constraint | None = None
    new_tokens: int = NEW_TOKENS
    texts: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    seconds: float = 0.0

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds

    def row(self) -> dict[str, Value]:
        # As the service reads them: a constrained text has only the template's headings.
        parsed = [parse_review(text, TEMPLATE.sections, self.constraint) for text in self.texts]
        read = [sections_of(text, self.constraint) for text in self.texts]
        written = [[bool(s.value or s.repeated) for s in sections] for sections in read]
        return {
            "format": "structured" if self.structure else "free",
            "reviews": len(self.texts),
            "with decision": sum(one.decision is not None for one in parsed),
            "with every section": sum(map(all, written)),
            "with one that only repeats": sum(
                any(s.repeated and not s.value for s in sections) for sections in read
            ),
            "to the letter": sum(follows_format(text, TEMPLATE.sections) for text in self.texts),
            "with broken characters": sum("\N{REPLACEMENT CHARACTER}" in t for t in self.texts),
            "cut off": self.reasons["length"],
            "tokens/s": round(self.speed, 1),
        }


def sections_of(text: str, constraint: Constraint | None) -> list[SectionDone]:
    """The template's sections in the order of the text; missing ones are empty."""
    stream = SectionStream(TEMPLATE.sections, constraint)
    events = [*stream.feed(text), *stream.close()]
    done = {event.field: event for event in events if isinstance(event, SectionDone)}
    return [done.get(spec.field, SectionDone(spec.field, "")) for spec in TEMPLATE.sections]


async def write_round(
    engine: Engine, arm: Arm, prompts: Sequence[Prompt], numbers: Sequence[int]
) -> None:
    """A review for each of ``numbers``, with AT_ONCE in progress at the same time."""
    waiting = deque(numbers)
    began = time.perf_counter()
    full_until: float | None = None

    async def worker() -> None:
        nonlocal full_until
        while waiting:
            await write_one(waiting.popleft())
        full_until = full_until or time.perf_counter()

    async def write_one(index: int) -> None:
        kind = "held" if arm.structure else "free"
        request = Generation(
            request_id=f"{kind}-{index}",
            messages=prompts[index % len(prompts)].messages,
            max_tokens=arm.new_tokens,
            temperature=TEMPERATURE,
            top_p=0.9,
            structure=arm.structure,
        )
        text, before = "", 0
        async with aclosing(engine.generate(request)) as deltas:
            async for delta in deltas:
                text += delta.text
                if delta.finish_reason:
                    arm.reasons[delta.finish_reason] += 1
                if delta.usage and full_until is None:
                    arm.tokens += delta.usage.completion - before
                    before = delta.usage.completion
        arm.texts.append(text)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    arm.seconds += (full_until or time.perf_counter()) - began


def read(folder: Path) -> list[Paper]:
    options = ExtractOptions(max_pages=200, detect_hidden=False)
    return [extract_paper(path.read_bytes(), options) for path in sorted(folder.glob("*.pdf"))]


async def measure(
    model: str, papers: Sequence[Paper], reviews: int, held_round: int, free_round: int
) -> tuple[Arm, Arm]:
    """Make ``reviews`` constrained ones, with a round of free ones after every second round."""
    engine = await engine_launcher(Settings(model=model))()
    try:
        prompts = [pack(paper, engine.tokenizer, PROMPT_TOKENS, TEMPLATE) for paper in papers]
        budgets = section_budgets(engine.tokenizer, TEMPLATE, NEW_TOKENS)
        held = Arm(
            review_structure(engine.tokenizer, TEMPLATE, NEW_TOKENS),
            Constraint(budgets, engine.tokenizer),
        )
        free = Arm()
        # Each prompt is read once before anything is counted.
        await write_round(engine, Arm(new_tokens=1), prompts, range(len(prompts)))
        for first in range(0, reviews, held_round):
            last = min(first + held_round, reviews)
            await write_round(engine, held, prompts, range(first, last))
            if first // held_round % 2 == 0:
                await write_round(engine, free, prompts, range(first, first + free_round))
            print(held.row(), free.row(), file=sys.stderr)
        return held, free
    finally:
        await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, default=SHARED / "pdfs" / "papers")
    parser.add_argument("--reviews", type=int, default=500)
    asked = parser.parse_args()
    held, free = asyncio.run(
        measure("smollm2", read(asked.folder), asked.reviews, PER_ROUND, PER_ROUND)
    )
    report(
        "constrained",
        f"SmolLM2-135M, temperature {TEMPERATURE}, prompts of {PROMPT_TOKENS} tokens, "
        f"{NEW_TOKENS} new, {AT_ONCE} at a time",
        [held.row(), free.row()],
        speed_of_free=round(held.speed / free.speed, 3),
    )


if __name__ == "__main__":
    main()
