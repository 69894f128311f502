"""Checks that vLLM and transformers give the same greedy answers with the merged model.

Both compute in bfloat16 but round in a different order, so two tokens that are almost equally
likely may swap places. An answer that differs first at such a tie is counted as a tie, and is
compared only up to there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from app.engine.base import Generation
from app.engine.launcher import engine_launcher
from app.settings import load_settings
from training.errors import CheckFailed
from training.examples import Example

_LEAST_CONTEXT = 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """``gaps``: for each token, the difference in log-probability (nats) to the second best."""

    ids: list[int]
    gaps: list[float]


def compare_greedy(
    model: Any,
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    examples: Sequence[Example],
    tokens: int,
    tie: float,
) -> dict[str, Any]:
    """The number of answers of ``tokens`` tokens that are equal, and that differ at a tie.

    ``model`` is the model of ``folder``. Tokens whose log-probabilities differ by at most ``tie``
    nats are tied.

    Raises:
        CheckFailed: an answer differs where there is no tie.
    """
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    expected = [greedy_answer(model, example.prompt, tokens) for example in examples]
    model.to("cpu")
    torch.cuda.empty_cache()  # vLLM needs the memory; does nothing without a GPU
    longest = max(len(example.prompt) for example in examples) + tokens
    texts = asyncio.run(_in_vllm(folder, examples, tokens, max(longest, _LEAST_CONTEXT)))
    ties = count_ties(examples, expected, texts, tokenizer, tie)
    same = len(texts) - ties
    return {"answers": len(texts), "tokens": tokens, "same": same, "ties": ties, "tie_nats": tie}


def count_ties(
    examples: Sequence[Example],
    expected: Sequence[Answer],
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerFast,
    tie: float,
) -> int:
    """The number of ``texts`` that differ from the expected answer, all of them at a tie.

    Raises:
        CheckFailed: one differs where there is no tie.
    """
    ties = 0
    for example, answer, text in zip(examples, expected, texts, strict=True):
        position = first_difference(answer.ids, text, tokenizer)
        if position is None:
            continue
        if answer.gaps[position] > tie:
            raise CheckFailed(
                f"row {example.id}: vLLM's greedy answer differs from transformers' at token "
                f"{position}, where the two best tokens are {answer.gaps[position]:.3f} nats apart "
                f"and rounding explains {tie:.3f}: {text!r} instead of "
                f"{tokenizer.decode(answer.ids)!r}"
            )
        ties += 1
    return ties


def greedy_answer(model: Any, prompt: Sequence[int], tokens: int) -> Answer:
    """The greedy answer of transformers, up to ``tokens`` tokens or the end of the turn."""
    ids = torch.tensor([prompt], device=model.device)
    model.eval()
    with torch.inference_mode():
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=tokens,
            output_logits=True,
            return_dict_in_generate=True,
        )
    gaps = []
    for logits in output.logits:
        best, second = logits[0].float().topk(2).values.tolist()
        gaps.append(best - second)
    return Answer(output.sequences[0, len(prompt) :].tolist(), gaps)


def first_difference(
    ids: Sequence[int], text: str, tokenizer: PreTrainedTokenizerFast
) -> int | None:
    """The position in ``ids`` at which ``text`` begins to differ; None if they are equal.

    Special tokens, such as the end of the turn, have no text.
    """
    if tokenizer.decode(ids, skip_special_tokens=True) == text:
        return None
    for count in range(1, len(ids) + 1):
        if not text.startswith(tokenizer.decode(ids[:count], skip_special_tokens=True)):
            return count - 1
    return len(ids) - 1


async def _in_vllm(
    folder: Path, examples: Sequence[Example], tokens: int, context: int
) -> list[str]:
    settings = load_settings(
        model=str(folder),
        engine="vllm",
        dtype="bfloat16",
        max_model_len=context,
        cpu_kv_cache_gib=0.5,
    )
    engine = await engine_launcher(settings)()
    try:
        texts = []
        for example in examples:
            request = Generation(example.id, example.messages, tokens, temperature=0.0, top_p=1.0)
            async with aclosing(engine.generate(request)) as deltas:
                texts.append("".join([delta.text async for delta in deltas]))
        return texts
    finally:
        await engine.close()
