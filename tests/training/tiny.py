"""A tiny random Gemma 4 with a tokenizer of its own, and papers with reviews to train it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma4AudioConfig,
    Gemma4Config,
    Gemma4ForCausalLM,
    Gemma4ForConditionalGeneration,
    Gemma4TextConfig,
    Gemma4VisionConfig,
    PreTrainedTokenizerFast,
)

from app.review.decision import Decision
from app.review.templates import published
from tests.doubles import WHOLE_REVIEW
from tests.training.recipes import recipe_file
from training.base import base_folder
from training.files import adapter_folder
from training.jsonl import write_rows
from training.lora_trl import open_model
from training.manifest import sha256_of
from training.rows import PaperRow, ReviewRow, SectionRow
from training.sft import STAGE
from training.stage import Job, Name, Stage, run_stage

MERGES = 2048
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>"]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|turn>{{ 'model' if message.role == 'assistant' else message.role }}\n"
    "{{ message.content }}<turn|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn>model\n{% endif %}"
)
SENTENCES = (
    "We count the tokens of a paper and find that there are many of them.",
    "The method counts each token once, and never twice.",
    "In the experiments on three data sets it counts faster than the baseline.",
    "A proof in the appendix shows that no token is lost.",
)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, so that every text comes back as it was; chat template as Gemma 4's."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MERGES,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    template = published()
    bpe.train_from_iterator([template.system, template.user, WHOLE_REVIEW, *SENTENCES], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",  # noqa: S106  # a token of text
        eos_token="<eos>",  # noqa: S106
        bos_token="<bos>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
        extra_special_tokens=["<|turn>", "<turn|>"],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def text_config(vocabulary: int) -> Gemma4TextConfig:
    """All that is odd in Gemma 4, small: two kinds of layers, shared KV, per-layer embeddings."""
    return Gemma4TextConfig(
        vocab_size=vocabulary,
        vocab_size_per_layer_input=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=6,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"] * 2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        global_head_dim=64,
        num_kv_shared_layers=3,
        hidden_size_per_layer_input=8,
        sliding_window=64,
        max_position_embeddings=4096,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )


def tiny_gemma(folder: Path, *, multimodal: bool = False, vocabulary: int = 0) -> Path:
    """Weights at random, tokenizer and configurations, as a folder.

    By default every token that it can write is one of the tokenizer's.
    """
    tokenizer = tiny_tokenizer()
    torch.manual_seed(7)
    text = text_config(vocabulary or len(tokenizer))
    model: Any
    if multimodal:
        towers = {
            "vision_config": Gemma4VisionConfig(
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                head_dim=16,
                position_embedding_size=64,
            ),
            "audio_config": Gemma4AudioConfig(
                hidden_size=32, num_hidden_layers=2, num_attention_heads=2
            ),
        }
        model = Gemma4ForConditionalGeneration(Gemma4Config(text_config=text, **towers))
    else:
        model = Gemma4ForCausalLM(text)
    end = tokenizer.convert_tokens_to_ids("<turn|>")
    model.generation_config.update(eos_token_id=[1, end], do_sample=True, temperature=0.2)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def paper_row(number: int, paragraphs: int = 3) -> PaperRow:
    body = "\n\n".join(SENTENCES[(number + i) % len(SENTENCES)] for i in range(paragraphs))
    return PaperRow(
        id=f"test/{number}",
        source="jsonl",
        venue="test",
        split="train",
        title=f"Counting tokens, part {number}",
        abstract=SENTENCES[number % len(SENTENCES)],
        sections=tuple(SectionRow(heading=h, text=body) for h in ("Introduction", "Conclusion")),
        decision="accept",
        decision_source="made up",
        ratings=(),
        rating_scale=(1, 6),
    )


def review_row(number: int, decision: Decision = "accept", text: str = WHOLE_REVIEW) -> ReviewRow:
    if decision == "reject":
        text = text.replace("ACCEPTANCE", "REJECTION")
    return ReviewRow(
        id=f"review/{number}",
        paper=f"test/{number}",
        source="human",
        text=text,
        decision=decision,
        official=decision,
    )


SFT: Mapping[str, Any] = {
    "backend": "trl",
    "epochs": 2,
    "learning_rate": 5e-3,
    "gradient_accumulation": 2,
    "optimizer": "adamw_torch",
    "max_length": 512,
    "save_steps": 2,
}
"""Eight steps on eight rows, a few seconds."""


def prepared(
    folder: Path,
    base: Path,
    train: Sequence[ReviewRow] | None = None,
    val: Sequence[ReviewRow] = (),
    papers: Sequence[PaperRow] | None = None,
    **sections: dict[str, Any],
) -> Path:
    """A recipe whose run has got as far as ``filter``; by default with eight rows to train on."""
    if train is None:
        train = [review_row(i, "accept" if i % 2 else "reject") for i in range(8)]
    if papers is None:
        papers = [paper_row(i, paragraphs=3 + 2 * i) for i in range(10)]
    sft = {**SFT, **sections.pop("sft", {})}
    recipe = recipe_file(folder, model={"base": str(base)}, sft=sft, **sections)
    run_stage(_writing("collect", {"papers.jsonl": papers}), recipe)
    run_stage(_writing("filter", {"train.jsonl": train, "val.jsonl": val}), recipe)
    return recipe


def fake_sft(recipe: Path, scale: float = 0.05, **changed_counts: object) -> None:
    """What ``sft`` would leave, without training: an adapter of random numbers of this size."""

    def main(job: Job) -> Mapping[str, Any]:
        base = base_folder(job.recipe.model)
        model = open_model(base, job.recipe.sft, job.seed)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=scale)
        model.save_pretrained(adapter_folder(job.recipe))
        return {"base_sha256": sha256_of(base), **changed_counts}

    run_stage(Stage("sft", STAGE.sections, STAGE.inputs, STAGE.outputs, main), recipe)


def _writing(name: Name, files: Mapping[str, Sequence[object]]) -> Stage:
    def main(job: Job) -> Mapping[str, Any]:
        return {file: write_rows(job.folder / file, rows) for file, rows in files.items()}

    return Stage(name, (), lambda _: [], lambda _: list(files), main)
