"""Reviews held to the template's format, beside reviews written freely, in one run.

    python -m benchmarks.constrained [FOLDER] [--reviews 500]

FOLDER holds PDFs; by default the shared papers beside the checkout. The default CPU model reviews
them by turns, at temperature 0.8, 16 at a time, prompts of 1,024 tokens, at most 256 new ones; a
round of free reviews comes between two of held ones. Every held one is to have a decision and all
sections. Tokens a second are counted while 16 reviews are being written: a round's last few, with
fewer beside them, count for neither.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.engine.base import Engine, Generation
from app.engine.launcher import engine_launcher
from app.paper.extract import ExtractOptions, extract_paper
from app.paper.model import Paper
from app.review.constraint import Constraint
from app.review.packing import Prompt, pack
from app.review.parse import parse_review
from app.review.structure import review_structure, section_budgets
from app.review.templates import published
from app.settings import Settings
from benchmarks.report import Value, report
from tests.conftest import SHARED

AT_ONCE, PROMPT_TOKENS, NEW_TOKENS, TEMPERATURE = 16, 1024, 256, 0.8
PER_ROUND = 50
TEMPLATE = published()


@dataclass
class Arm:
    """One way of writing: what came of it."""

    structure: dict[str, Any] | None = None
    constraint: Constraint | None = None
    texts: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    seconds: float = 0.0

    def row(self) -> dict[str, Value]:
        # As the service reads them: a held text has no headings but the template's.
        parsed = [parse_review(text, TEMPLATE.sections, self.constraint) for text in self.texts]
        decided = sum(read.decision is not None for read in parsed)
        whole = sum(
            all((read.points if s.bullets else read.prose).get(s.field) for s in TEMPLATE.sections)
            for read in parsed
        )
        return {
            "format": "structured" if self.structure else "free",
            "reviews": len(self.texts),
            "with decision %": round(100 * decided / len(parsed), 1),
            "with every section %": round(100 * whole / len(parsed), 1),
            "cut off": self.reasons["length"],
            "tokens/s": round(self.tokens / self.seconds, 1),
        }


async def write_round(engine: Engine, arm: Arm, prompts: Sequence[Prompt], number: int) -> None:
    """PER_ROUND reviews, AT_ONCE of them side by side."""
    waiting = deque(range(number * PER_ROUND, (number + 1) * PER_ROUND))
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
            max_tokens=NEW_TOKENS,
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


async def measure(papers: Sequence[Paper], reviews: int) -> Mapping[str, Arm]:
    engine = await engine_launcher(Settings(model="smollm2"))()
    try:
        prompts = [pack(paper, engine.tokenizer, PROMPT_TOKENS, TEMPLATE) for paper in papers]
        budgets = section_budgets(engine.tokenizer, TEMPLATE, NEW_TOKENS)
        held = Arm(
            review_structure(engine.tokenizer, TEMPLATE, NEW_TOKENS),
            Constraint(budgets, engine.tokenizer),
        )
        free = Arm()
        await write_round(engine, Arm(), prompts, -1)  # reads each prompt once
        for number in range(reviews // PER_ROUND):
            await write_round(engine, held, prompts, number)
            if number % 2 == 0:
                await write_round(engine, free, prompts, number)
            print(f"{len(held.texts)} of {reviews}", held.row(), free.row(), file=sys.stderr)
        return {"held": held, "free": free}
    finally:
        await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, default=SHARED / "pdfs" / "papers")
    parser.add_argument("--reviews", type=int, default=500)
    asked = parser.parse_args()
    arms = asyncio.run(measure(read(asked.folder), asked.reviews))
    rows = [arm.row() for arm in arms.values()]
    held, free = (arm.tokens / arm.seconds for arm in arms.values())
    report(
        "constrained",
        f"temperature {TEMPERATURE}, prompts of {PROMPT_TOKENS} tokens, {NEW_TOKENS} new, "
        f"{AT_ONCE} at a time",
        rows,
        speed_of_free=round(held / free, 3),
    )


if __name__ == "__main__":
    main()
