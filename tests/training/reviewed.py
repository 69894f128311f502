"""Papers, the stages before the benchmark, and an engine that answers by what it reads."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.engine.base import Delta, Generation, NextTokenLogprobs, NextTokenQuery, ServedModel
from app.engine.supervisor import Launch
from app.engine.tokenizer import ChatTokenizer
from app.errors import EngineError
from app.review.decision import Decision
from app.settings import Settings
from tests.doubles import WHOLE_REVIEW, ScriptedEngine
from training.jsonl import write_rows
from training.rows import PaperRow, ReviewRow, SectionRow
from training.stage import Job, Stage, run_stage

REJECTING = WHOLE_REVIEW.replace("ACCEPTANCE", "REJECTION")
_PROBABILITY = re.compile(r"We are (0\.\d+) sure")


def paper(
    number: int,
    *,
    decision: Decision | None,
    told: float,
    venue: str = "iclr_2017",
    ratings: Sequence[float] = (5, 6),
    words: int = 40,
    prefix: str = "p",
) -> PaperRow:
    """One whose text tells :class:`ReadingEngine` what to answer."""
    return PaperRow(
        id=f"peerread/{venue}/{prefix}{number}",
        source="peerread",
        venue=venue,
        split="test",
        title=f"On the Counting of {prefix} Number {number}",
        abstract="We count.",
        sections=(
            SectionRow(heading="1 Introduction", text=f"We are {told:.2f} sure of it."),
            SectionRow(heading="2 Method", text=" ".join(["counting"] * words)),
        ),
        decision=decision,
        decision_source="the test's own",
        ratings=tuple(ratings),
        rating_scale=(1, 10),
    )


def written(
    recipe: Path, stage: str, files: Mapping[str, Sequence[Any]], sections: Sequence[str] = ()
) -> None:
    """What an earlier stage would have left, its manifest included."""

    def main(job: Job) -> Mapping[str, Any]:
        for name, rows in files.items():
            target = job.folder / name
            target.parent.mkdir(exist_ok=True)
            write_rows(target, rows)
        return {name: len(rows) for name, rows in files.items()}

    run_stage(
        Stage(
            name=stage,  # type: ignore[arg-type]
            sections=sections,
            inputs=lambda _: [],
            outputs=lambda _: list(files),
            main=main,
        ),
        recipe,
    )


def merged(recipe: Path) -> None:
    """A merged model's folder; the double loads nothing from it."""
    written(recipe, "merge", {"model/config.json": [{}]})


def target(of: PaperRow) -> ReviewRow:
    return ReviewRow(
        id=of.id,
        paper=of.id,
        source="teacher",
        text=WHOLE_REVIEW,
        decision="accept",
        official=of.decision,
    )


class ReadingEngine(ScriptedEngine):
    """Says of each paper what its text says it should; counts the papers."""

    def __init__(
        self,
        tokenizer: ChatTokenizer,
        name: str = "double",
        shift: float = 0.0,
        fails_at: int | None = None,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(tokenizer, model=ServedModel(name, 8192, 1024))
        self.shift = shift
        self.fails_at = fails_at
        self.said = texts or {}
        self.prompts: list[str] = []

    async def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        if request.request_id != "first-answer":
            self.prompts.append(request.messages[-1].content)
            if len(self.prompts) == self.fails_at:
                raise Interrupted("the test ends it here")
            whole = WHOLE_REVIEW if self._told(request) >= 0.5 else REJECTING
            own = [text for part, text in self.said.items() if part in self.prompts[-1]]
            self.texts = [own[0] if own else whole]
        async for delta in super().generate(request):
            yield delta

    async def next_token_logprobs(self, request: NextTokenQuery) -> NextTokenLogprobs:
        told = self._told(request)
        self.logprobs = [(math.log(told), math.log(1 - told))]
        return await super().next_token_logprobs(request)

    def _told(self, request: Generation | NextTokenQuery) -> float:
        match = _PROBABILITY.search(request.messages[-1].content)
        assert match, "the paper has not reached the engine"
        return min(max(float(match[1]) + self.shift, 0.01), 0.99)


class Interrupted(EngineError):
    pass


def launcher(engine: Callable[[Settings], ScriptedEngine]) -> Callable[[Settings], Launch]:
    def launches(settings: Settings) -> Launch:
        made = engine(settings)

        async def launch() -> ScriptedEngine:
            return made

        return launch

    return launches
