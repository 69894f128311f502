"""What a failure means: whose it is, whether it is tried again, when, and whom that costs.

The one place that says so, for background reviews (``app.jobs``), for the engine's supervision
(``app.engine``) and for clients (``reviewer batch``). One error, one line in ``POLICIES``; an error
without a line of its own has that of its base class.

How an error is tried again (``Retry``), and what that costs:

- ``NEVER``: it would fail again. It has failed.
- ``BACKOFF``: after a pause that grows (``pause_s``). Each try costs the review one of its attempts
  (``max_attempts``); after the last one it has failed with this error.
- ``ALONE``: the engine, or the whole process, failed under it, and perhaps under others: each of
  these is a suspect. That costs nobody anything. Suspects are tried again one at a time, with
  nothing beside them in the engine, once the engine has answered a plain question. One that fails
  again then is guilty: from there on it is as ``BACKOFF``.
- ``WHEN_BACK``: what was away (engine, store) or busy has to come back first. That costs nobody
  anything, and there is no limit.

A client that sends a request anew can neither know what else was in the engine nor wait for
another's turn: for it, ``ALONE`` is as ``BACKOFF``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app import errors as e


class Cause(StrEnum):
    """Whose a failure is."""

    REQUEST = "request"
    """What was asked for can't be met, whichever the paper."""
    PAPER = "paper"
    """This paper, or this one review."""
    ENGINE = "engine"
    UPSTREAM = "upstream"
    NETWORK = "network"
    STORE = "store"
    SERVICE = "service"
    """The service itself: a fault of its code, the end of its process, more than it can take."""


class Retry(StrEnum):
    """Whether and when it is tried again; see the module's docstring."""

    NEVER = "never"
    BACKOFF = "backoff"
    ALONE = "alone"
    WHEN_BACK = "when_back"


@dataclass(frozen=True, slots=True)
class Policy:
    cause: Cause
    retry: Retry


_NEVER, _BACKOFF, _ALONE, _WHEN_BACK = Retry.NEVER, Retry.BACKOFF, Retry.ALONE, Retry.WHEN_BACK

POLICIES: dict[type[e.ReviewerError], Policy] = {
    # Without a line of its own: a fault of our code. It may be one that passes.
    e.ReviewerError: Policy(Cause.SERVICE, _BACKOFF),
    # The request
    e.InvalidRequest: Policy(Cause.REQUEST, _NEVER),
    e.ConfigurationError: Policy(Cause.REQUEST, _NEVER),
    # This paper, or this review
    e.PaperError: Policy(Cause.PAPER, _NEVER),
    e.UploadTooLarge: Policy(Cause.PAPER, _NEVER),
    e.PaperNotStored: Policy(Cause.PAPER, _NEVER),
    e.ReviewCancelled: Policy(Cause.PAPER, _NEVER),
    e.ReviewFinished: Policy(Cause.PAPER, _NEVER),
    e.ReviewNotCompleted: Policy(Cause.PAPER, _NEVER),
    e.IdempotencyMismatch: Policy(Cause.PAPER, _NEVER),
    e.AttemptsExhausted: Policy(Cause.PAPER, _NEVER),
    e.StoredRequestUnreadable: Policy(Cause.SERVICE, _NEVER),
    # The engine
    e.EngineError: Policy(Cause.ENGINE, _BACKOFF),
    e.EngineDied: Policy(Cause.ENGINE, _ALONE),
    e.EngineUnavailable: Policy(Cause.ENGINE, _WHEN_BACK),
    e.EngineOverloaded: Policy(Cause.ENGINE, _WHEN_BACK),
    # Another server: the engine's upstream, the host of a paper
    # Whether it is the upstream or this one request that fails, its next answers tell.
    e.UpstreamError: Policy(Cause.UPSTREAM, _ALONE),
    e.FetchFailed: Policy(Cause.NETWORK, _BACKOFF),
    e.FetchRefused: Policy(Cause.PAPER, _NEVER),
    e.BodyTooSlow: Policy(Cause.NETWORK, _BACKOFF),
    # The store
    e.StoreUnavailable: Policy(Cause.STORE, _WHEN_BACK),
    # The service
    e.Interrupted: Policy(Cause.SERVICE, _ALONE),
    e.TaskEnded: Policy(Cause.SERVICE, _WHEN_BACK),
    e.Overloaded: Policy(Cause.SERVICE, _WHEN_BACK),
    e.RateLimited: Policy(Cause.SERVICE, _WHEN_BACK),
    e.ShuttingDown: Policy(Cause.SERVICE, _WHEN_BACK),
}
_OWN_CODES = {
    "prompt_too_long": Policy(Cause.PAPER, _NEVER),
}
"""Codes that are given to an ``InvalidRequest`` where it is raised, and mean something else."""

_FIRST_PAUSE_S, _GROWTH = 1.0, 4.0
LONGEST_PAUSE_S = 60.0


def policy_of(error: e.ReviewerError) -> Policy:
    """What an error in this process means."""
    return _OWN_CODES.get(error.code) or _of_class(type(error))


def policy_of_answer(status: int, code: str | None) -> Policy:
    """What an HTTP answer means that is no review; ``code`` is None where it has no error of ours.

    Answers without one come from a proxy before the service, or from some other server.
    """
    policy = code and (_OWN_CODES.get(code) or _BY_CODE.get(code))
    if policy:
        return policy
    if status in (408, 425, 429, 503) or (code is None and status in (502, 504)):
        return Policy(Cause.NETWORK, _WHEN_BACK)
    if status >= 500:
        return POLICIES[e.ReviewerError]
    return POLICIES[e.PaperError if status in (413, 422) else e.InvalidRequest]


CONNECTION_LOST = Policy(Cause.NETWORK, _BACKOFF)
"""A client's request was under way: perhaps it is what ended the service."""
NOT_REACHED = Policy(Cause.NETWORK, _WHEN_BACK)
"""A client got no connection to the service."""


def pause_s(failures: int) -> float:
    """Seconds before the next try, after so many failures (at least one)."""
    return min(LONGEST_PAUSE_S, _FIRST_PAUSE_S * _GROWTH ** (failures - 1))


def exhausted(attempts: int, reason: str) -> e.AttemptsExhausted:
    """Of a suspect that was found guilty each time; ``reason`` is that of the last."""
    return e.AttemptsExhausted(
        f"Given up after {attempts} attempts, each of them alone; the last time {reason}"
    )


def _of_class(kind: type[e.ReviewerError]) -> Policy:
    return next(POLICIES[base] for base in kind.__mro__ if base in POLICIES)


def _subclasses(kind: type[e.ReviewerError]) -> list[type[e.ReviewerError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _subclasses(child))]


# Of classes that share a code, the one nearest to the base speaks for it.
_BY_CODE = {kind.code: _of_class(kind) for kind in reversed(_subclasses(e.ReviewerError))}
