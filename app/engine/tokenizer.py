"""The tokenizer and chat template of a Hugging Face model, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from app.engine.base import Message
from app.errors import ConfigurationError


class ChatTokenizer:
    """Implements :class:`app.engine.base.Tokenizer`."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        # The Rust tokenizer underneath: unlike the wrapper it may be called from several threads.
        self._backend = tokenizer.backend_tokenizer
        self.special_tokens = frozenset(
            token.content
            for token in tokenizer.added_tokens_decoder.values()
            if token.special and token.content.strip()
        )

    @classmethod
    def load(cls, location: str | Path) -> ChatTokenizer:
        """Load the tokenizer of a model folder or a hub id.

        Raises:
            ConfigurationError: there is no tokenizer, or it has no chat template.
        """
        try:
            tokenizer = AutoTokenizer.from_pretrained(location)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"no tokenizer at {location}: {error}", param="model"
            ) from error
        if not isinstance(tokenizer, PreTrainedTokenizerFast) or not tokenizer.chat_template:
            raise ConfigurationError(
                f"the tokenizer at {location} has no chat template, or no fast implementation",
                param="model",
            )
        return cls(tokenizer)

    def encode(self, text: str) -> list[int]:
        # Unlike encode(), encoding a batch releases the GIL; a paper of 50 pages takes 40 ms.
        (encoding,) = self._backend.encode_batch_fast([text], add_special_tokens=False)
        ids: list[int] = encoding.ids
        return ids

    def count_each(self, texts: Sequence[str]) -> list[int]:
        batch = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in batch]

    def render(self, messages: Sequence[Message], prefix: str = "") -> str:
        chat = [{"role": message.role, "content": message.content} for message in messages]
        prompt = self._tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True
        )
        return str(prompt) + prefix

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, special tokens included."""
        return str(self._backend.decode(list(ids), skip_special_tokens=False))
