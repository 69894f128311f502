"""Time that reading the verdict and further samples add to a review.

    python -m benchmarks.verdict_cost [ROUNDS]

The default CPU model, prompts of 4,000 tokens with different titles (so none profits from the
prefix cache), at most 512 new tokens, one review at a time. Each round reviews one paper with one
sample and another with five, in alternating order, with the service's own use case.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time

from app.api.schemas.requests import ReviewParameters
from app.engine.launcher import engine_launcher
from app.engine.supervisor import Supervisor
from app.paper.reader import PaperReader
from app.paper.text import paper_from_text
from app.review.plan import ReviewRules
from app.review.report import ReviewReport
from app.review.service import Completed, Decided, Prompted, ReadingVerdict, ReviewService
from app.settings import Settings
from benchmarks.report import report

PROMPT_TOKENS = 4000
WORDS = 1300


async def review(
    service: ReviewService, number: int, samples: int
) -> tuple[ReviewReport, dict[str, float]]:
    """The review of a paper of its own, and how many seconds each step took."""
    words = " ".join(f"paper{number} measures token{word} anew." for word in range(WORDS))
    paper = paper_from_text(f"Paper {number} of Its Own", "We measure.", f"# Method\n\n{words}")
    at: dict[type, float] = {}
    async for event in service.start(paper, ReviewParameters(samples=samples)):
        at[type(event)] = time.perf_counter()
        if isinstance(event, Completed):
            written_s = at[ReadingVerdict] - at[Prompted]
            judged_s = at[Decided] - at[ReadingVerdict]
            return event.report, {"written_s": written_s, "judged_s": judged_s}
    raise AssertionError("events end with Completed or an error")


async def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    settings = Settings(model="smollm2", prompt_tokens=PROMPT_TOKENS)
    supervisor = Supervisor(engine_launcher(settings))
    await supervisor.start()
    await supervisor.ready()
    rows: list[dict[str, str | int | float | None]] = []
    took: dict[int, list[float]] = {1: [], 5: []}
    shares: list[float] = []
    async with PaperReader(settings) as reader:
        service = ReviewService(ReviewRules.load(settings), supervisor, reader)
        await review(service, -1, 1)  # warms up
        for number in range(rounds):
            for samples in (1, 5) if number % 2 else (5, 1):
                done, seconds = await review(service, 10 * number + samples, samples)
                whole = seconds["written_s"] + seconds["judged_s"]
                took[samples].append(whole)
                if samples == 1:
                    shares.append(seconds["judged_s"] / seconds["written_s"])
                rows.append(
                    {
                        "samples": samples,
                        "prompt": done.usage.prompt,
                        "cached": done.usage.cached,
                        "new": done.usage.completion,
                        "written s": round(seconds["written_s"], 2),
                        "verdict s": round(seconds["judged_s"], 2),
                    }
                )
    await supervisor.stop()
    report(
        "verdict_cost",
        f"SmolLM2-135M, prompts of {PROMPT_TOKENS} tokens",
        rows,
        verdict_share=round(statistics.median(shares), 3),
        five_samples_of_one=round(statistics.median(took[5]) / statistics.median(took[1]), 2),
    )


if __name__ == "__main__":
    asyncio.run(main())
