"""Training a tiny Gemma 4, for real: it learns, goes on after a kill, and refuses what is bad."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

from app.engine.tokenizer import ChatTokenizer
from tests.doubles import WHOLE_REVIEW
from tests.training.tiny import paper_row, prepared, review_row, tiny_gemma, tiny_tokenizer
from training.base import unsloth_name
from training.errors import CheckFailed, InputInvalid, ModelMissing
from training.examples import end_of_turn, make_example
from training.lora_trl import open_model
from training.manifest import Manifest, read_manifest
from training.recipe import Model, Sft
from training.sft import STAGE, uses_unsloth
from training.stage import run_stage
from training.trainer import last_checkpoint
from training.weights import load_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gemma(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("trained")
    run_stage(STAGE, prepared(folder, base, val=[review_row(8)]))
    return folder / "out" / "sft"


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(folder / "adapter" / "adapter_model.safetensors")
    return tensors


def test_the_model_learns_and_the_manifest_says_what_it_took(trained: Path, base: Path) -> None:
    counts = read_manifest(trained, "sft").counts
    assert counts["steps"] == len(counts["losses"]) == 8
    # What a model that knows nothing begins with.
    assert counts["first_loss"] == pytest.approx(math.log(len(tiny_tokenizer())), abs=0.2)
    assert counts["last_loss"] < counts["first_loss"] - 0.4
    before, _, after = counts["val_losses"]  # of two epochs
    assert before == pytest.approx(counts["first_loss"], abs=0.2)
    assert after < before - 0.4
    assert counts["rows"] == {"train": 8, "val": 1}
    assert 0 < counts["rows_with_body_cut"] < 9
    assert counts["trainable_parameters"] == sum(t.numel() for t in adapter(trained).values())
    assert counts["seconds_per_step"] > 0
    assert counts["tokens_per_second"] > 0
    assert counts["peak_memory_gib"] > 0
    assert any(tensor.any() for name, tensor in adapter(trained).items() if "lora_B" in name)
    config = json.loads((trained / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base)  # as the recipe names it
    assert (trained / "adapter" / "chat_template.jinja").exists()


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(
    trained: Path, base: Path, tmp_path: Path
) -> None:
    recipe = prepared(tmp_path, base, val=[review_row(8)])
    folder = tmp_path / "out" / "sft"
    killed = subprocess.Popen(
        [sys.executable, "-m", "training.sft", "--recipe", recipe],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    _wait_until(lambda: last_checkpoint(folder / "checkpoints") is not None, killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (folder / "manifest.json").exists()

    manifest = run_stage(STAGE, recipe)
    assert manifest.resumed
    before = read_manifest(trained, "sft").counts
    assert manifest.counts["losses"] == before["losses"]
    weights, expected = adapter(folder), adapter(trained)
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


def _wait_until(true: Any, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 180
    while not true():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.parametrize(
    "file", ["adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json"]
)
def test_a_checkpoint_that_is_cut_off_is_passed_over(
    file: str, trained: Path, tmp_path: Path
) -> None:
    for checkpoint in (trained / "checkpoints").iterdir():
        (tmp_path / checkpoint.name).symlink_to(checkpoint)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-8"
    (tmp_path / "checkpoint-8").unlink()
    (tmp_path / "checkpoint-8").mkdir()
    for whole in (trained / "checkpoints" / "checkpoint-8").iterdir():
        content = whole.read_bytes()
        if whole.name == file:
            content = content[: len(content) // 2]
        (tmp_path / "checkpoint-8" / whole.name).write_bytes(content)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-6"


def test_a_trainer_that_counts_no_tokens_is_trained_all_the_same(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unsloth 2026.10.7 puts such a ``compute_loss`` in the place of TRL's."""

    def compute_loss(self: Any, *args: Any, **named: Any) -> Any:
        return super(SFTTrainer, self).compute_loss(*args, **named)

    monkeypatch.setattr(SFTTrainer, "compute_loss", compute_loss)
    counts = train(tmp_path, base, sft={"max_steps": 2}).counts
    assert counts["steps"] == 2
    assert counts["tokens_per_second"] > 0


@pytest.mark.parametrize(
    ("base", "sft", "opened"),
    [
        # By the hub's name Unsloth finds its own dynamic 4-bit copy; a folder it quantizes plainly.
        ("unsloth/gemma-4-E4B-it", {"load_in_4bit": True}, "unsloth/gemma-4-E4B-it"),
        ("unsloth/gemma-4-E4B-it", {}, "FOLDER"),
        ("FOLDER", {"load_in_4bit": True}, "FOLDER"),
        ("FOLDER", {"load_in_4bit": True, "four_bit_base": "x/y-bnb-4bit"}, "x/y-bnb-4bit"),
        ("smollm2", {"load_in_4bit": True}, "FOLDER"),
    ],
)
def test_unsloth_gets_the_name_by_which_it_has_a_dynamic_4_bit_copy(
    base: str, sft: dict[str, Any], opened: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").touch()
    options = Model(base=base.replace("FOLDER", str(tmp_path)))
    assert unsloth_name(options, Sft(**sft), tmp_path) == opened.replace("FOLDER", str(tmp_path))


def train(folder: Path, base: Path, **more: Any) -> Manifest:
    return run_stage(STAGE, prepared(folder, base, **more))


def test_a_model_that_knows_nothing_ends_the_training(tmp_path: Path) -> None:
    # ln 32768 = 10.4
    base = tiny_gemma(tmp_path / "base", vocabulary=32768)
    with pytest.raises(
        CheckFailed, match=r"the first loss is 10\.\d+, above .* 10: the base seems"
    ):
        train(tmp_path, base)
    assert last_checkpoint(tmp_path / "out" / "sft" / "checkpoints") is None


def test_a_multimodal_base_and_the_published_optimizer_in_four_bits(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    base = tiny_gemma(tmp_path / "base", multimodal=True)
    sft = {"optimizer": "adamw_8bit", "load_in_4bit": True, "gradient_checkpointing": False}
    counts = train(tmp_path, base, sft={**sft, "epochs": 1}).counts
    assert counts["steps"] == 4
    assert counts["last_loss"] < counts["first_loss"]


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"train": []}, InputInvalid, r"train\.jsonl has no rows to train on"),
        (
            {"papers": [paper_row(0)]},
            InputInvalid,
            "row review/1: its paper test/1 was not collected",
        ),
        (
            {"train": [review_row(1, text=WHOLE_REVIEW.replace("Sound.", "Sound. " * 300))]},
            InputInvalid,
            r"row review/1: the review takes \d+ tokens of sft.max_length 512",
        ),
        ({"sft": {"target_modules": "q_proj"}}, CheckFailed, r"sft\.target_modules: "),
        ({"sft": {"backend": "unsloth"}}, CheckFailed, "'unsloth', which is not installed"),
    ],
    ids=["empty split", "no paper", "long review", "targets", "unsloth"],
)
def test_bad_input_is_told_before_anything_is_trained(
    given: dict[str, Any], error: type[Exception], told: str, tmp_path: Path, base: Path
) -> None:
    with pytest.raises(error, match=told):
        train(tmp_path, base, **given)
    assert not (tmp_path / "out" / "sft" / "checkpoints").exists()


def test_a_base_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="nowhere"):
        train(tmp_path, tmp_path / "nowhere")


def test_checkpointing_does_not_change_the_gradients(base: Path) -> None:
    """Gemma 4's last layers take keys and values from earlier ones; recomputing must keep that."""
    ids = torch.arange(6, 200)[None]

    def gradients(*, checkpointing: bool) -> list[torch.Tensor]:
        model = open_model(base, Sft(), seed=1)
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        model.train()
        if checkpointing:
            model.gradient_checkpointing_enable()
            model.enable_input_require_grads()
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        return [p.grad for p in model.parameters() if p.grad is not None]

    plain, recomputed = gradients(checkpointing=False), gradients(checkpointing=True)
    assert len(plain) == len(recomputed) == 72
    assert all(torch.equal(a, b) for a, b in zip(plain, recomputed, strict=True))


def test_trl_learns_the_same_from_prompt_and_completion_and_what_follows_the_turn(
    base: Path, tmp_path: Path
) -> None:
    """Our tokens against those that TRL makes of the same row, which end after the end of turn."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    chat = ChatTokenizer(tokenizer)
    end = end_of_turn(tokenizer, [1, 5])
    example = make_example(review_row(1), paper_row(1), chat, end, 512)
    prompt = [{"role": turn.role, "content": turn.content} for turn in example.messages]
    completion = [{"role": "assistant", "content": WHOLE_REVIEW}]
    trainer = SFTTrainer(
        model=load_model(base, torch.bfloat16),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list([{"prompt": prompt, "completion": completion}]),
        args=SFTConfig(output_dir=str(tmp_path), max_length=None, use_cpu=True, report_to="none"),
    )
    (row,) = trainer.train_dataset
    newline = tokenizer.encode("\n", add_special_tokens=False)
    assert row["input_ids"] == example.columns["input_ids"] + newline
    assert row["labels"] == example.columns["labels"] + newline


def test_unsloth_is_left_alone_where_it_can_not_run() -> None:
    assert not uses_unsloth("trl")
    assert not uses_unsloth("auto")


def test_nothing_that_unsloth_must_precede_is_imported_before_the_stage_runs() -> None:
    code = (
        "import sys, training.sft; "
        "print({'transformers', 'trl', 'peft', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
