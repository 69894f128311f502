"""The stub teacher with the faults of real ones, scripted: request by request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from training.stub_teacher import serving, stub_app

Fault = int | str | None
"""A status to answer with; ``cut``: the connection ends within the answer; ``hang``: no answer;
any other text: refused (400) in these words."""


@dataclass
class FaultyTeacher:
    """An ASGI application. ``faults(n, body)`` says what goes wrong with the n-th request, from 1.

    ``answered`` has the body of every request that got its whole answer.
    """

    faults: Callable[[int, str], Fault] = lambda _n, _body: None
    replies: Callable[[str], dict[str, Any] | None] = lambda _body: None
    """An answer to give instead of the stub's."""
    requests: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    retry_after_s: int = 0
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/token":
            token = {"access_token": "stub", "expires_in": 3600, "token_type": "Bearer"}
            await JSONResponse(token)(scope, receive, send)
            return
        body = await _body(receive)
        self.requests.append(body)
        number = len(self.requests)
        self.paths.append(scope["path"])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            # Long enough for requests to meet.
            await asyncio.sleep(0.02)
            fault = self.faults(number, body)
            if fault == "hang":
                while (await receive())["type"] != "http.disconnect":
                    pass
            else:
                await self._answer(fault, body, scope, send)
        finally:
            self.at_once -= 1

    async def _answer(self, fault: Fault, body: str, scope: Scope, send: Send) -> None:
        if fault == "cut":
            headers = [(b"content-type", b"application/json"), (b"content-length", b"5000")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"id": "st', "more_body": True})
            raise ConnectionError("cut on purpose")
        if fault is not None:
            status, told = (fault, f"stub says {fault}") if isinstance(fault, int) else (400, fault)
            error = {"error": {"code": status, "message": told, "status": "X"}}
            response = JSONResponse(
                error, status_code=status, headers={"retry-after": str(self.retry_after_s)}
            )
            await response(scope, _nothing, send)
            return
        reply = self.replies(body)
        if reply is not None:
            await JSONResponse(reply)(scope, _nothing, send)
        else:
            await stub_app()(scope, _replayed(body), send)
        self.answered.append(body)


async def _body(receive: Receive) -> str:
    data = b""
    while True:
        message = await receive()
        data += message.get("body", b"")
        if not message.get("more_body"):
            return str(data, "utf-8")


def _replayed(body: str) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body.encode(), "more_body": False}

    return receive


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


@contextmanager
def teaching(teacher: FaultyTeacher) -> Iterator[FaultyTeacher]:
    with serving(teacher) as url:
        teacher.url = url
        yield teacher


def google_credentials(token_url: str) -> str:
    """A service account's key file, as Application Default Credentials read it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "stub",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": "stub@stub.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": token_url,
        }
    )
