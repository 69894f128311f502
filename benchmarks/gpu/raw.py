"""``AsyncLLM.generate`` without the service, with the same prompts, sampling and structure."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.clients import Answer, Load

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

TEMPERATURE, TOP_P, TOP_K = 0.2, 0.9, 64
"""As published, and as the service samples Gemma."""


async def generate(
    llm: AsyncLLM,
    prompts: Sequence[list[int]],
    structure: dict[str, Any] | None,
    max_tokens: int,
    at_once: int,
    within_s: float,
) -> Load:
    """All of them, ``at_once`` at a time; those that take longer than ``within_s`` are dropped."""
    load = Load(at_once)
    waiting = list(reversed(prompts))

    async def work() -> None:
        while waiting:
            load.answers.append(await _one(llm, waiting.pop(), structure, max_tokens, load.gaps_ms))

    began = time.perf_counter()
    try:
        async with asyncio.timeout(within_s), asyncio.TaskGroup() as workers:
            for _ in range(at_once):
                workers.create_task(work())
        load.is_whole = True
    except TimeoutError:
        pass
    load.seconds = time.perf_counter() - began
    return load


async def _one(
    llm: AsyncLLM,
    prompt: list[int],
    structure: dict[str, Any] | None,
    max_tokens: int,
    gaps_ms: list[float],
) -> Answer:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    sampling = SamplingParams(
        max_tokens=max_tokens,
        temperature=TEMPERATURE,
        top_p=TOP_P,
        top_k=TOP_K,
        output_kind=RequestOutputKind.DELTA,
        structured_outputs=StructuredOutputsParams(structural_tag=json.dumps(structure))
        if structure
        else None,
    )
    began = time.perf_counter()
    first = last = None
    written = cached = 0
    request_id = uuid.uuid4().hex
    async for output in llm.generate({"prompt_token_ids": prompt}, sampling, request_id):
        now = time.perf_counter()
        first = first or now
        if last:
            gaps_ms.append(1000 * (now - last))
        last = now
        written += len(output.outputs[0].token_ids)
        cached = output.num_cached_tokens or 0
    return Answer(
        time.perf_counter() - began,
        prompt=len(prompt),
        cached=cached,
        written=written,
        first_s=first - began if first else None,
    )
