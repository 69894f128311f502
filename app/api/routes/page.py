"""The page at ``/`` and its files. They need no key; what the page asks of the API does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Header, Response
from starlette.exceptions import HTTPException

router = APIRouter(include_in_schema=False)

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# Scripts and styles only from files of this service, and no text is ever taken for HTML. Images
# are made by the page's scripts from what they fetch with the API's key (blob:).
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), clipboard-read=()",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    kind: str
    tag: str


@cache
def _files() -> dict[str, _File]:
    """All files of the page, by name."""
    found = {}
    for entry in (files("app") / "web").iterdir():
        kind = _TYPES.get(entry.name.rpartition(".")[2])
        if kind:
            content = entry.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            found[entry.name] = _File(content, kind, tag)
    return found


IfNoneMatch = Annotated[str | None, Header()]


@router.get("/")
async def get_index(if_none_match: IfNoneMatch = None) -> Response:
    """The page."""
    return _answer("index.html", if_none_match)


@router.get("/web/{name}")
async def get_file(name: str, if_none_match: IfNoneMatch = None) -> Response:
    """One of the page's files."""
    return _answer(name, if_none_match)


def _answer(name: str, known: str | None) -> Response:
    file = _files().get(name)
    if file is None:
        raise HTTPException(404)
    headers = {**_HEADERS, "ETag": file.tag}
    if known and file.tag in known:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.kind)
