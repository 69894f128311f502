"""Random walks through a review's compiled grammar, as a model that writes nonsense would go.

Without a model: at each step one of the tokens that the grammar allows is taken, with a liking for
those on which a grammar can stumble. Each section of a walk has a style of its own: it ends as soon
as it may, after some tokens, or at its budget.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xgrammar
from transformers import PreTrainedTokenizerFast

from app.engine.tokenizer import ChatTokenizer
from app.errors import InvalidRequest
from app.review.structure import review_structure
from app.review.template import VERDICT_HEADING, VERDICT_LEAD, Template

_TRIES = 4
"""Tokens drawn by kind before any allowed one is taken."""


class DeadEnd(AssertionError):
    """The grammar allows no token, and the review is not over."""


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer as the grammar sees it, its tokens by what they are."""

    tokenizer: PreTrainedTokenizerFast

    @cached_property
    def info(self) -> xgrammar.TokenizerInfo:
        # Several stop tokens, as vLLM passes those of the generation config.
        return xgrammar.TokenizerInfo.from_huggingface(
            self.tokenizer, stop_token_ids=[self.tokenizer.eos_token_id]
        )

    @cached_property
    def chat(self) -> ChatTokenizer:
        return ChatTokenizer(self.tokenizer)

    @cached_property
    def spelled(self) -> list[bytes]:
        return list(self.info.decoded_vocab)

    @cached_property
    def special(self) -> frozenset[int]:
        added = self.tokenizer.added_tokens_decoder
        return frozenset(at for at, token in added.items() if token.special)

    @cached_property
    def kinds(self) -> dict[str, Sequence[int]]:
        kinds: dict[str, list[int]] = {
            kind: [] for kind in ("blank", "mark", "half", "wide", "special", "word", "newline")
        }
        for at, spelled in enumerate(self.spelled):
            kinds[self._kind(at, spelled)].append(at)
        kinds["newline"] = [at for at, spelled in enumerate(self.spelled) if b"\n" in spelled]
        kinds["heading"] = self.chat.encode("##")[:1]
        return {kind: ids for kind, ids in kinds.items() if ids}

    def _kind(self, at: int, spelled: bytes) -> str:
        if at in self.special:
            return "special"
        text = spelled.decode("utf-8", errors="replace")
        if "\N{REPLACEMENT CHARACTER}" in text:
            return "half"
        if not text.strip():
            return "blank"
        if any(mark in text for mark in "#<[|"):
            return "mark"
        return "word" if text.isascii() else "wide"


@dataclass
class Walker:
    """Walks through the grammar of one template with one vocabulary, at the least budget."""

    vocabulary: Vocabulary
    template: Template
    compiler: xgrammar.GrammarCompiler

    def __post_init__(self) -> None:
        self.max_tokens = _least_tokens(self.vocabulary.chat, self.template)
        structure = review_structure(self.vocabulary.chat, self.template, self.max_tokens)
        self._matcher = xgrammar.GrammarMatcher(
            self.compiler.compile_structural_tag(json.dumps(structure))
        )
        self._stops = frozenset(self.vocabulary.info.stop_token_ids)
        size = self.vocabulary.info.vocab_size
        self._bitmask = xgrammar.allocate_token_bitmask(1, size)
        self._words = self._bitmask.numpy()[0].view(np.uint32)
        self._last = np.uint32(2**32 - 1 >> -size % 32)

    def walk(self, rng: random.Random) -> list[int]:
        """The tokens of a whole review, without the one that ends the turn.

        Raises:
            DeadEnd: nothing is allowed before the end.
        """
        self._matcher.reset()
        ids: list[int] = []
        style = _style(rng)
        while True:
            self._matcher.fill_next_token_bitmask(self._bitmask)
            self._words[-1] &= self._last  # bits behind the last token
            token = self._pick(rng, style)
            if token is None:
                raise DeadEnd(self.spell(ids)[-80:])
            if token in self._stops:
                return ids
            assert self._matcher.accept_token(token), (self.spell(ids)[-80:], token)
            ids.append(token)
            if b"#" in self.vocabulary.spelled[token]:
                style = _style(rng)

    def spell(self, ids: Sequence[int]) -> bytes:
        return b"".join(self.vocabulary.spelled[token] for token in ids)

    def check(self, ids: Sequence[int]) -> None:
        """Raises AssertionError where a finished walk is not what a review has to be."""
        assert not self.vocabulary.special & set(ids)
        assert len(ids) < self.max_tokens
        text = self.spell(ids).decode("utf-8")
        whole = self._format.fullmatch(text)
        assert whole, text
        for section in whole.groups()[:-1]:
            assert not self._has_forbidden(section), section

    def _has_forbidden(self, section: str) -> bool:
        # Gemma has 6,251 special tokens: only those that begin as the text does at some place.
        return any(
            section.startswith(token, at)
            for at in range(len(section))
            for token in self._forbidden.get(section[at : at + 2], ())
        )

    @cached_property
    def _forbidden(self) -> dict[str, list[str]]:
        """What no section may have, by its first two characters (no such token has only one)."""
        found: dict[str, list[str]] = {}
        for token in ("recommend this paper", *self.vocabulary.chat.special_tokens):
            found.setdefault(token[:2], []).append(token)
        return found

    @cached_property
    def _format(self) -> re.Pattern[str]:
        sections = "\n\n".join(
            f"## {re.escape(spec.heading)}\n{'-' if spec.bullets else ''}([^#]*)"
            for spec in self.template.sections
        )
        ending = f"## {VERDICT_HEADING}\n{VERDICT_LEAD} (ACCEPTANCE|REJECTION)\\."
        return re.compile(f"{sections}\n\n{ending}")

    def _pick(self, rng: random.Random, style: dict[str, float]) -> int | None:
        for kind in rng.choices(list(style), list(style.values()), k=_TRIES):
            among = self.vocabulary.kinds.get(kind)
            if among and self._allows(token := rng.choice(among)):
                return token
        filled = np.flatnonzero(self._words)
        if not filled.size:
            return None
        at = int(rng.choice(filled))
        bits = [bit for bit in range(32) if self._words[at] >> bit & 1]
        return at * 32 + rng.choice(bits)

    def _allows(self, token: int) -> bool:
        return bool(self._words[token // 32] >> (token % 32) & 1)


def _least_tokens(tokenizer: ChatTokenizer, template: Template) -> int:
    try:
        review_structure(tokenizer, template, 1)
    except InvalidRequest as refused:
        found = re.search(r"at least (\d+)", str(refused))
        assert found
        return int(found[1])
    raise AssertionError("one token is no review")


def _style(rng: random.Random) -> dict[str, float]:
    """How much each kind of token is liked in a section; "newline" and "heading" end it."""
    ends = rng.choice((0.0, 1.0, 4.0, 30.0, 30.0))
    liked = rng.choice(("word", "half", "wide", "special", "blank"))
    style = dict.fromkeys(("word", "half", "wide", "special", "blank"), 0.3)
    return {**style, liked: 3.0, "mark": 0.3, "newline": ends, "heading": 2 * ends}
