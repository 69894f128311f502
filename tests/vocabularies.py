"""Vocabularies to hold a review's structure against, beside the embedded model's own."""

from __future__ import annotations

from itertools import pairwise

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
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
