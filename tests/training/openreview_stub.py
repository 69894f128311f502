"""What openreview-py asks of OpenReview's API 1, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tests.papers import paper_pdf
from training.stub_teacher import serving

VENUE = "ICLR.cc/2020/Conference"
SUBMITTED, REVIEWED = 1_569_000_000_000, 1_572_000_000_000
PAGE = "<!DOCTYPE html>\n<html><head><title>Just a moment</title></head></html>"
REFERENCE: dict[str, Any] = {"invitation": "x", "readers": [], "writers": [], "signatures": []}


@dataclass
class Submission:
    id: str
    title: str
    rating: str
    decision: str
    pdf: bytes = field(default_factory=paper_pdf)
    camera_ready: bytes = b""
    """A newer PDF, of after the reviews."""
    rated_in: str = "rating"
    """What the venue's form calls the rating."""


class OpenReviewStub:
    def __init__(self, submissions: Sequence[Submission]) -> None:
        self._submissions = {submission.id: submission for submission in submissions}
        self.url = ""
        self.refuse_pdf = ""
        self.challenge = ""
        """What a web page is sent in place of: ``notes`` or ``pdf``."""
        self.password = ""
        """Who logs in must give it, where it is not empty."""
        self.hang_pdf = ""
        self.pdfs_sent: list[str] = []
        routes = [
            Route("/login", self._login, methods=["POST"]),
            Route("/notes", self._notes),
            Route("/references", self._references),
            Route("/references/pdf", self._pdf),
        ]
        self.app = Starlette(routes=routes)

    async def _login(self, request: Request) -> Response:
        if (await request.json())["password"] != self.password:
            error = {"name": "UnauthorizedError", "message": "Invalid username or password"}
            return JSONResponse(error, status_code=401)
        return JSONResponse({"token": "stub", "user": {"profile": {"id": "~A_B1"}}})

    async def _references(self, request: Request) -> Response:
        submission = self._submissions[request.query_params["referent"]]
        assert request.query_params["original"] == "true"
        # Listed newest first; one changed the abstract alone.
        versions = [("sent", SUBMITTED, True), ("abstract", SUBMITTED + 1, False)]
        if submission.camera_ready:
            versions.insert(0, ("final", REVIEWED + 9, True))
        found = [
            {
                "id": f"{submission.id}-{name}",
                "tcdate": time,
                "content": {"pdf": "/pdf/x.pdf"} if has_pdf else {},
                **REFERENCE,
            }
            for name, time, has_pdf in versions
        ]
        return JSONResponse({"references": found, "count": len(found)})

    async def _notes(self, request: Request) -> Response:
        if self.challenge == "notes":
            return HTMLResponse(PAGE)
        asked = request.query_params
        wanted = asked.get("invitation") == f"{VENUE}/-/Blind_Submission" and "after" not in asked
        notes = [_note(n, s) for n, s in enumerate(self._submissions.values(), 1) if wanted]
        return JSONResponse({"notes": notes, "count": len(notes)})

    async def _pdf(self, request: Request) -> Response:
        name, _, version = request.query_params["id"].rpartition("-")
        if self.challenge == "pdf":
            return HTMLResponse(PAGE)
        if name == self.refuse_pdf:
            error = {"name": "ForbiddenError", "message": "not now", "status": 403}
            return JSONResponse(error, status_code=403)
        while name == self.hang_pdf and not await request.is_disconnected():
            await asyncio.sleep(0.05)
        if await request.is_disconnected():
            return Response()
        self.pdfs_sent.append(name)
        submission = self._submissions[name]
        data = submission.camera_ready if version == "final" else submission.pdf
        return Response(data, media_type="application/pdf")


def _note(number: int, submission: Submission) -> dict[str, Any]:
    paper = f"{VENUE}/Paper{number}/-"
    replies = [
        {
            "invitation": f"{paper}/Official_Review",
            "tcdate": REVIEWED,
            "content": {
                "review": "It is fine.",
                submission.rated_in: submission.rating,
                "confidence": "4: ok",
            },
        },
        {"invitation": f"{paper}/Public_Comment", "content": {"comment": "Nice."}},
    ]
    if submission.decision:
        content = {"decision": submission.decision, "comment": "All agree."}
        replies.append({"invitation": f"{paper}/Decision", "content": content})
    return {
        "id": submission.id,
        "forum": submission.id,
        "number": number,
        "invitation": f"{VENUE}/-/Blind_Submission",
        "signatures": [],
        "readers": ["everyone"],
        "writers": [],
        "content": {"title": submission.title, "abstract": "We do."},
        "details": {"directReplies": replies},
    }


@contextmanager
def serve_openreview(submissions: Sequence[Submission]) -> Iterator[OpenReviewStub]:
    stub = OpenReviewStub(submissions)
    with serving(stub.app) as url:
        stub.url = url
        yield stub
