"""A request for a review, and its row in the database."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any

from app import __version__
from app.api.schemas.requests import ReviewParameters
from app.jobs.sources import StoredSource
from app.jobs.stored_request import stored_parameters
from app.paper.sources import Source
from app.review.service import Prepared
from app.store.records import NewReview


@dataclass(frozen=True, slots=True)
class Submission:
    """A request for a review. ``key`` is the client's Idempotency-Key."""

    source: Source
    parameters: ReviewParameters
    tenant: str
    key: str | None = None
    answer_format: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SubmissionResult:
    """The review for a submission: a new one, or an existing one."""

    id: str
    tenant: str
    reused: bool = False
    """It exists already: the same paper, model and parameters."""
    replayed: bool = False
    """It was submitted before with the same idempotency key."""


def new_review(
    submission: Submission, prepared: Prepared, source: StoredSource, *, keeps: bool
) -> NewReview:
    """The new row, not stored yet; ``keeps`` is ``Settings.keeps_reviews``."""
    model, plan = prepared.engine.model, prepared.plan
    asked, answer_format = submission.parameters, submission.answer_format
    # Only a review's parameters: a chat's request has other fields.
    fields = asked.model_dump(mode="json", include=set(ReviewParameters.model_fields))
    kind, blob = source.kind, source.blob_sha256
    same = [kind, blob, _suffix(source.name), model.name, plan.fingerprint]
    return NewReview(
        id=plan.id,
        tenant=submission.tenant,
        created=time.time(),
        background=asked.background,
        source=kind,
        name=source.name,
        blob_sha256=blob if keeps else None,
        data=source.data if keeps else None,
        sha256=source.sha256,
        parameters=stored_parameters(asked),
        answer_format=answer_format,
        reuse_key=_digest(*same, __version__, asked.blind, asked.check_injection)
        if keeps and blob
        else None,
        model=model.name,
        template=plan.template.name,
        reuse=asked.reuse,
        key=submission.key,
        fingerprint=_digest(kind, blob, source.name, fields, answer_format),
    )


def _suffix(name: str) -> str:
    """The suffix of a file's name, which distinguishes LaTeX from Markdown."""
    return name.rpartition(".")[2].lower()


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
