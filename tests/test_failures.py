"""What a failure means: one table for the service and its clients."""

from __future__ import annotations

import pytest

from app import errors
from app.errors import (
    EngineDied,
    EngineUnavailable,
    FetchFailed,
    FetchRefused,
    InvalidRequest,
    NotAPdf,
    ReviewerError,
    StorageFull,
    UpstreamError,
)
from app.failures import POLICIES, Cause, Policy, Retry, pause_s, policy_of, policy_of_answer


@pytest.mark.parametrize(
    ("error", "cause", "retry"),
    [
        (ReviewerError("a fault of ours"), Cause.SERVICE, Retry.BACKOFF),
        (InvalidRequest("no such template", code="unknown_template"), Cause.REQUEST, Retry.NEVER),
        (InvalidRequest("too long", code="prompt_too_long"), Cause.PAPER, Retry.NEVER),
        (NotAPdf("text"), Cause.PAPER, Retry.NEVER),
        (EngineUnavailable("loading"), Cause.ENGINE, Retry.WHEN_BACK),
        (EngineDied("died"), Cause.ENGINE, Retry.ALONE),
        (UpstreamError("no JSON"), Cause.UPSTREAM, Retry.ALONE),
        (FetchFailed("reset"), Cause.NETWORK, Retry.BACKOFF),
        (FetchRefused("404"), Cause.PAPER, Retry.NEVER),
        (StorageFull("full"), Cause.STORE, Retry.WHEN_BACK),
    ],
)
def test_what_an_error_means(error: ReviewerError, cause: Cause, retry: Retry) -> None:
    assert policy_of(error) == Policy(cause, retry)


@pytest.mark.parametrize(
    ("status", "code", "cause", "retry"),
    [
        (422, "not_a_pdf", Cause.PAPER, Retry.NEVER),
        (400, "prompt_too_long", Cause.PAPER, Retry.NEVER),
        (400, "unknown_template", Cause.REQUEST, Retry.NEVER),
        (401, "invalid_api_key", Cause.REQUEST, Retry.NEVER),
        (404, None, Cause.REQUEST, Retry.NEVER),
        (502, "upstream_error", Cause.UPSTREAM, Retry.ALONE),
        (502, "fetch_failed", Cause.NETWORK, Retry.BACKOFF),
        (503, "engine_died", Cause.ENGINE, Retry.ALONE),
        (503, "engine_unavailable", Cause.ENGINE, Retry.WHEN_BACK),
        (507, "storage_full", Cause.STORE, Retry.WHEN_BACK),
        (429, "rate_limit_exceeded", Cause.SERVICE, Retry.WHEN_BACK),
        # A proxy's answers, and those of a newer service.
        (502, None, Cause.NETWORK, Retry.WHEN_BACK),
        (429, None, Cause.NETWORK, Retry.WHEN_BACK),
        (500, None, Cause.SERVICE, Retry.BACKOFF),
        (422, "not_known_yet", Cause.PAPER, Retry.NEVER),
        (413, None, Cause.PAPER, Retry.NEVER),
        (503, "not_known_yet", Cause.NETWORK, Retry.WHEN_BACK),
        (500, "not_known_yet", Cause.SERVICE, Retry.BACKOFF),
    ],
)
def test_what_an_answer_means(status: int, code: str | None, cause: Cause, retry: Retry) -> None:
    assert policy_of_answer(status, code) == Policy(cause, retry)


def test_no_error_is_retried_by_chance() -> None:
    """What ends in a 4xx is the client's to mend, bar bad times; what does not, is tried again."""
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ReviewerError)
    ]
    for kind in kinds:
        policy = next(POLICIES[base] for base in kind.__mro__ if base in POLICIES)
        if 400 <= kind.status < 500 and kind.status not in (408, 429):
            assert policy.retry is Retry.NEVER, kind
        elif policy.retry is Retry.NEVER:
            assert kind.__name__ in (
                "AttemptsExhausted",
                "StoredRequestUnreadable",
                "ConfigurationError",
                "FetchRefused",
            )


def test_pauses_grow_up_to_a_minute() -> None:
    assert [pause_s(failures) for failures in range(1, 6)] == [1, 4, 16, 60, 60]
