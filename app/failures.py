"""The retry policy of each error: its cause, and whether, when and at what cost to try again.

Used for background reviews (``app.jobs``), by the engine's supervisor (``app.engine``) and by
clients (``reviewer batch``). ``POLICIES`` has one line per error class; a class without a line has
the policy of its base class.

How a review is tried again after an error (``Retry``):

- ``NEVER``: it would fail again, so it has failed.
- ``BACKOFF``: it is tried again after growing pauses (``pause_s``). Each try counts as one of its
  attempts (``max_attempts``); after the last one it has failed with this error.
- ``ALONE``: the engine or the process failed, perhaps because of another review. All reviews that
  were running become suspects; this does not count as an attempt. Suspects are tried again one at a
  time, alone in the engine, after the engine has answered a short request. If a suspect fails
  again, it is the cause: from then on it is treated as with ``BACKOFF``.
- ``WHEN_BACK``: the engine or the store was unavailable or busy. The review is tried again once it
  is back. This does not count as an attempt, and there is no limit.

A client that sends a request again does not know what else was in the engine, and can't have it
alone: for clients ``ALONE`` is the same as ``BACKOFF``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app import errors as e


class Cause(StrEnum):
    """What caused a failure."""

    REQUEST = "request"
    """The request can't be met for any paper."""
    PAPER = "paper"
    """This paper, or this one review."""
    ENGINE = "engine"
    UPSTREAM = "upstream"
    NETWORK = "network"
    STORE = "store"
    SERVICE = "service"
    """The service itself: a bug, the end of its process, or overload."""


class Retry(StrEnum):
    """Whether and when to try again; see the module's docstring."""

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
    # Any error without a line of its own: a bug. It may not occur again.
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
    # Either the upstream or this one request is the cause; its next answers show which.
    e.UpstreamError: Policy(Cause.UPSTREAM, _ALONE),
    e.UpstreamRefused: Policy(Cause.UPSTREAM, _WHEN_BACK),
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
"""Codes given to an ``InvalidRequest`` when it is raised, with a policy of their own."""

_FIRST_PAUSE_S, _GROWTH = 1.0, 4.0
LONGEST_PAUSE_S = 60.0


def policy_of(error: e.ReviewerError) -> Policy:
    """The policy for an error in this process."""
    return _OWN_CODES.get(error.code) or _of_class(type(error))


def policy_of_answer(status: int, code: str | None) -> Policy:
    """The policy for an HTTP error. ``code`` is that of our error object, None if there is none.

    Answers without an error object come from a proxy in front of the service, or another server.
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
"""A client lost the connection during its request, which may have ended the service."""
NOT_REACHED = Policy(Cause.NETWORK, _WHEN_BACK)
"""A client could not connect to the service."""


def pause_s(failures: int) -> float:
    """Seconds before the next try after ``failures`` failures (at least one)."""
    return min(LONGEST_PAUSE_S, _FIRST_PAUSE_S * _GROWTH ** (failures - 1))


def exhausted(attempts: int, reason: str) -> e.AttemptsExhausted:
    """The error of a review that failed alone each time; ``reason`` is that of the last failure."""
    return e.AttemptsExhausted(
        f"Given up after {attempts} attempts, each of them alone; the last time {reason}"
    )


def _of_class(kind: type[e.ReviewerError]) -> Policy:
    return next(POLICIES[base] for base in kind.__mro__ if base in POLICIES)


def _subclasses(kind: type[e.ReviewerError]) -> list[type[e.ReviewerError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _subclasses(child))]


# If several classes share a code, the policy of the one nearest to the base counts.
_BY_CODE = {kind.code: _of_class(kind) for kind in reversed(_subclasses(e.ReviewerError))}
