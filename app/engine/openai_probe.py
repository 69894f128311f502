"""What an OpenAI-compatible server can do beyond writing, from how it answers two small requests.

A server that does not go on with an answer that has begun says nothing of it: it closes the answer
and begins another, or takes it for the user's. The probability of the next token is then that of
another question, and looks like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.base import Message, NextTokenQuery, Tokenizer
from app.engine.openai_answers import LabelCompletion

_QUESTION = (Message("user", "Count from one to twenty."),)
_BEGUN = "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen,"
TRIALS = tuple(NextTokenQuery("trial", _QUESTION, prefix, (0, 1)) for prefix in ("", _BEGUN))
"""The same question, open for an answer and with an answer that has begun."""


@dataclass(frozen=True, slots=True)
class Skills:
    """``continues``: it goes on with an answer that has begun. ``tells``: tokens' probabilities."""

    continues: bool
    tells: bool

    @property
    def reads_labels(self) -> bool:
        return self.continues and self.tells


def skills(tokenizer: Tokenizer, alone: LabelCompletion, begun: LabelCompletion) -> Skills:
    """From the answers to :data:`TRIALS`.

    How many tokens the begun answer adds to the prompt tells where it stands: a closed one ends
    with the end of its turn and the beginning of the next, one that is left out adds nothing.
    Only the difference counts, since a server's own template may put words before the question.
    """
    closed = (*_QUESTION, Message("assistant", _BEGUN))
    prompts = (tokenizer.render(_QUESTION), tokenizer.render(_QUESTION, _BEGUN))
    bare, open_, shut = tokenizer.count_each([*prompts, tokenizer.render(closed)])
    told = _prompt_tokens(begun) - _prompt_tokens(alone)
    off = abs(told - (open_ - bare))
    return Skills(
        continues=off < abs(told - (shut - bare)) and off < abs(told), tells=bool(begun.likely())
    )


def _prompt_tokens(answer: LabelCompletion) -> int:
    return answer.usage.prompt_tokens if answer.usage else 0
