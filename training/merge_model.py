"""The work of ``training.merge``, which imports torch."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from app.engine.launcher import installed_vllm
from training.adapter import changed_elements, load_adapted
from training.base import base_folder
from training.errors import CheckFailed, InputInvalid
from training.examples import Example, examples_of
from training.files import adapter_folder
from training.greedy import compare_greedy
from training.logits import Divergence, Probe, divergence, largest_change, log_probabilities
from training.manifest import read_manifest, sha256_of
from training.recipe import Merge, Recipe
from training.stage import Job
from training.weights import eos_ids, load_model


def merge(job: Job, merged: Path) -> Mapping[str, Any]:
    """Write the merged model to the folder ``merged``; return counts and divergences.

    Raises:
        InputInvalid: the adapter is damaged, or belongs to another base.
        CheckFailed: the saved model differs from base + adapter.
    """
    recipe, adapter = job.recipe, adapter_folder(job.recipe)
    base = base_folder(recipe.model)
    check_base(recipe, base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    job.say("merge: base + adapter in bfloat16, for the noise floor")
    model = load_adapted(base, adapter, torch.bfloat16)
    examples = probe_examples(job, tokenizer, eos_ids(model))
    probes = [Probe.of(example, recipe.merge.probe_tokens) for example in examples]
    rounded = log_probabilities(model, probes)
    del model  # two models would take too much memory

    job.say("merge: base + adapter in float32, then merged")
    model = load_adapted(base, adapter, torch.float32)
    changed = changed_elements(model)
    if not changed:
        raise CheckFailed("the adapter changes no weight by more than bfloat16's rounding")
    reference = log_probabilities(model, probes)
    found = {"noise_floor": divergence(reference, rounded)}
    with model.disable_adapter():
        found["without_adapter"] = divergence(reference, log_probabilities(model, probes))
    model = model.merge_and_unload(safe_merge=True)
    found["merged_in_float32"] = divergence(reference, log_probabilities(model, probes))
    save(model.to(torch.bfloat16), tokenizer, base, merged)

    job.say("merge: the saved model, loaded again")
    widened = log_probabilities(load_model(merged, torch.float32), probes)
    found["saved_in_bfloat16"] = divergence(reference, widened)
    copy = load_model(merged, torch.bfloat16)
    check_same_weights(model, copy)
    del model
    read = log_probabilities(copy, probes)
    found["merged"] = divergence(reference, read)
    counts = {
        "probes": len(probes),
        "positions": sum(probe.compared for probe in probes),
        "changed_weights": changed,
        "kl": {name: each.as_counts() for name, each in found.items()},
    }
    job.show_counts("merge", counts)
    check_divergence(found["merged"], found["noise_floor"], found["without_adapter"], recipe.merge)
    if not recipe.merge.vllm or installed_vllm() is None:
        return {**counts, "vllm": None}
    job.say("merge: greedy answers, by transformers and by vLLM")
    # vLLM and transformers both round, in different ways: allow twice what rounding changes here.
    tie = 2 * largest_change(widened, read)
    greedy = compare_greedy(copy, merged, tokenizer, examples, recipe.merge.greedy_tokens, tie)
    job.show_counts("greedy answers", greedy)
    return {**counts, "vllm": greedy}


def check_base(recipe: Recipe, base: Path) -> None:
    """
    Raises:
        InputInvalid: the adapter was trained on another base.
    """
    trained_on = read_manifest(recipe.folder("sft"), "sft").counts["base_sha256"]
    if sha256_of(base) != trained_on:
        raise InputInvalid(
            f"the adapter was trained on another base: {base} has changed since training.sft ran"
        )


def probe_examples(job: Job, tokenizer: Any, ends: Sequence[int]) -> list[Example]:
    """The first rows of the validation split, or of the training split if that is empty."""
    found = examples_of(job, "val", tokenizer, ends) or examples_of(job, "train", tokenizer, ends)
    return found[: job.recipe.merge.probes]


def save(model: Any, tokenizer: Any, base: Path, folder: Path) -> None:
    """Save everything that an engine loads: weights, configurations, tokenizer, chat template."""
    if folder.exists():  # left by a killed run
        shutil.rmtree(folder)
    # Without state_dict=, which would save a tied lm_head twice.
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # vLLM does not load a multimodal model without them.
    for file in base.glob("*processor_config.json"):
        shutil.copyfile(file, folder / file.name)


def check_same_weights(model: Any, copy: Any) -> None:
    """
    Raises:
        CheckFailed: a loaded tensor differs from the one that was saved.
    """
    read = dict(copy.named_parameters())
    differing = [
        name
        for name, tensor in model.named_parameters()
        if name not in read or not torch.equal(tensor, read[name])
    ]
    if differing:
        raise CheckFailed(
            f"{len(differing)} tensors differ between the merged and the saved model, for example "
            f"{differing[0]}"
        )


def check_divergence(
    merged: Divergence, floor: Divergence, lost: Divergence, limits: Merge
) -> None:
    """Check the saved model; ``lost`` is the divergence of the base without its adapter.

    Raises:
        CheckFailed: the saved model differs from base + adapter by more than rounding explains.
    """
    limit = max(limits.kl_limit * floor.mean, limits.kl_share * lost.mean)
    if merged.mean > limit:
        raise CheckFailed(
            f"the saved model is not base + adapter: its mean KL divergence is {merged.mean:.2e} "
            f"nats, {merged.mean / floor.mean:.1f} times the noise floor and "
            f"{merged.mean / lost.mean:.1%} of that without the adapter; merge.kl_limit is "
            f"{limits.kl_limit:g}, merge.kl_share {limits.kl_share:g}"
        )
