"""The same prompts, answered greedily by transformers and by vLLM: the answers must be the same.

Both round to bfloat16, each in its own order, so two tokens that are nearly as likely may change
places. An answer that parts at such a tie is counted as one, and compared up to there.
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
    """``gaps`` are, for each token, by how many nats it was likelier than the next best."""

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
    """How many answers of ``tokens`` tokens are the same, and how many part at a tie.

    ``model`` is what lies in ``folder``; tokens whose log-probabilities are at most ``tie`` nats
    apart are tied.

    Raises:
        CheckFailed: an answer is another one.
    """
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    expected = [greedy_answer(model, example.prompt, tokens) for example in examples]
    model.to("cpu")
    torch.cuda.empty_cache()  # vLLM wants the memory; does nothing without a GPU
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
    """How many of ``texts`` part from the expected answer, all of them at a tie.

    Raises:
        CheckFailed: one parts where no rounding explains it.
    """
    ties = 0
    for example, answer, text in zip(examples, expected, texts, strict=True):
        parted = parts_at(answer.ids, text, tokenizer)
        if parted is None:
            continue
        if answer.gaps[parted] > tie:
            raise CheckFailed(
                f"row {example.id}: vLLM's greedy answer parts from transformers' at token "
                f"{parted}, where the best two are {answer.gaps[parted]:.3f} nats apart, and "
                f"rounding explains {tie:.3f}: {text!r}, not {tokenizer.decode(answer.ids)!r}"
            )
        ties += 1
    return ties


def greedy_answer(model: Any, prompt: Sequence[int], tokens: int) -> Answer:
    """What transformers writes, up to ``tokens`` tokens or the end of the turn."""
    ids = torch.tensor([prompt], device=model.device)
    model.eval()
    with torch.inference_mode():
        written = model.generate(
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
    for logits in written.logits:
        best, second = logits[0].float().topk(2).values.tolist()
        gaps.append(best - second)
    return Answer(written.sequences[0, len(prompt) :].tolist(), gaps)


def parts_at(ids: Sequence[int], text: str, tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The first token of ``ids`` that ``text`` does not begin with; None where they are the same.

    A special token, the end of the turn for one, has no text.
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
