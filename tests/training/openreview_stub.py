"""What openreview-py asks of OpenReview's API 1, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.papers import paper_pdf
from training.stub_teacher import serving

VENUE = "ICLR.cc/2020/Conference"


@dataclass
class Submission:
    id: str
    title: str
    rating: str
    decision: str
    pdf: bytes = field(default_factory=paper_pdf)


class OpenReviewStub:
    def __init__(self, submissions: Sequence[Submission]) -> None:
        self._submissions = {submission.id: submission for submission in submissions}
        self.url = ""
        self.refuse_pdf = ""
        self.hang_pdf = ""
        self.pdfs_sent: list[str] = []
        routes = [Route("/notes", self._notes), Route("/pdf", self._pdf)]
        self.app = Starlette(routes=routes)

    async def _notes(self, request: Request) -> Response:
        asked = request.query_params
        wanted = asked.get("invitation") == f"{VENUE}/-/Blind_Submission" and "after" not in asked
        notes = [_note(n, s) for n, s in enumerate(self._submissions.values(), 1) if wanted]
        return JSONResponse({"notes": notes, "count": len(notes)})

    async def _pdf(self, request: Request) -> Response:
        name = request.query_params["id"]
        if name == self.refuse_pdf:
            error = {"name": "ForbiddenError", "message": "not now", "status": 403}
            return JSONResponse(error, status_code=403)
        while name == self.hang_pdf and not await request.is_disconnected():
            await asyncio.sleep(0.05)
        if await request.is_disconnected():
            return Response()
        self.pdfs_sent.append(name)
        return Response(self._submissions[name].pdf, media_type="application/pdf")


def _note(number: int, submission: Submission) -> dict[str, Any]:
    paper = f"{VENUE}/Paper{number}/-"
    replies = [
        {
            "invitation": f"{paper}/Official_Review",
            "content": {
                "review": "It is fine.",
                "rating": submission.rating,
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
