"""Finds out what an OpenAI-compatible server supports, from its answers to two small requests.

A server that can't continue a given answer does not report that: it ends the answer and begins
another, or takes the text for the user's. The probability that it returns for the next token is
then one for another prompt, which can't be seen from the number.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.base import Message, NextTokenQuery, Tokenizer
from app.engine.openai_answers import NextTokenCompletion

_QUESTION = (Message("user", "Count from one to twenty."),)
_BEGUN = "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen,"
TRIALS = tuple(NextTokenQuery("trial", _QUESTION, prefix, (0, 1)) for prefix in ("", _BEGUN))
"""One question, first without and then with the beginning of an answer."""


@dataclass(frozen=True, slots=True)
class Skills:
    """``continues``: the server continues the beginning of an answer. ``returns_logprobs``: it
    returns tokens' log-probabilities.
    """

    continues: bool
    returns_logprobs: bool

    @property
    def reads_verdicts(self) -> bool:
        return self.continues and self.returns_logprobs


def skills(tokenizer: Tokenizer, alone: NextTokenCompletion, begun: NextTokenCompletion) -> Skills:
    """The skills by the answers to :data:`TRIALS`.

    They follow from the number of tokens that the answer's beginning adds to the prompt: if the
    server ends the answer, the tokens between two turns are added as well; if it ignores the
    answer, none are. Only the difference counts, as a server's chat template may add a text before
    the question.
    """
    closed = (*_QUESTION, Message("assistant", _BEGUN))
    prompts = (tokenizer.render(_QUESTION), tokenizer.render(_QUESTION, _BEGUN))
    bare, open_, shut = tokenizer.count_each([*prompts, tokenizer.render(closed)])
    added = _prompt_tokens(begun) - _prompt_tokens(alone)
    off = abs(added - (open_ - bare))
    return Skills(
        continues=off < abs(added - (shut - bare)) and off < abs(added),
        returns_logprobs=bool(begun.token_logprobs()),
    )


def _prompt_tokens(answer: NextTokenCompletion) -> int:
    return answer.usage.prompt_tokens if answer.usage else 0
