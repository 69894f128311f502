"""``/v1/reviews/{id}/paper``: the stored paper of a review, its pages as images, and its text."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import StreamingResponse

from app.api.routes.files import NEVER_RUN, saved_as
from app.api.routes.responses import errors
from app.api.routes.state import StateDep, TenantDep
from app.api.schemas.page import PageInfo, PaperPages
from app.api.schemas.paper import PaperResource
from app.paper.pdf.drawing import largest_scale
from app.resources.paper import paper_resource

router = APIRouter(prefix="/v1/reviews/{review_id}/paper", tags=["reviews"])

_PIECE = 2**18
"""Bytes of a file that are sent at once."""
LARGEST_SCALE = 4.0
SMALLEST_SCALE = 0.1


@router.get(
    "",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}, **errors(404)},
)
async def get_paper(review_id: str, state: StateDep, tenant: TenantDep) -> Response:
    """The file that was reviewed."""
    sha256, file = await state.papers.open(review_id, tenant)
    first = await asyncio.to_thread(file.read, _PIECE)
    size = os.fstat(file.fileno()).st_size
    pdf = first.startswith(b"%PDF")
    name = f"{sha256}.pdf" if pdf else sha256
    return StreamingResponse(
        _pieces(first, file),
        headers={**saved_as(name), "Content-Length": str(size)},
        media_type="application/pdf" if pdf else "application/octet-stream",
    )


async def _pieces(piece: bytes, file: BinaryIO) -> AsyncGenerator[bytes, None]:
    """The file piece by piece, so that it is never in memory as a whole."""
    with file:
        while piece:
            yield piece
            piece = await asyncio.to_thread(file.read, _PIECE)


@router.get("/pages", responses=errors(404, 422))
async def get_pages(review_id: str, state: StateDep, tenant: TenantDep) -> PaperPages:
    """The sizes of the PDF's pages."""
    sizes = await state.papers.sizes(review_id, tenant)
    return PaperPages(
        pages=[
            PageInfo(
                number=number,
                width=width,
                height=height,
                largest_scale=min(LARGEST_SCALE, largest_scale(width, height)),
            )
            for number, (width, height) in enumerate(sizes, start=1)
        ]
    )


@router.get(
    "/pages/{page}",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {}}},
        304: {"description": "The image is the one that `If-None-Match` names."},
        **errors(404, 422),
    },
)
async def get_page(
    review_id: str,
    page: Annotated[int, Path(ge=1, le=100_000, description="From 1.")],
    state: StateDep,
    tenant: TenantDep,
    scale: Annotated[
        float,
        Query(ge=SMALLEST_SCALE, le=LARGEST_SCALE, description="Pixels per PDF point."),
    ] = 1.5,
    if_none_match: Annotated[str | None, Header(max_length=1000)] = None,
) -> Response:
    """A page of the PDF as an image, so that a client need not open the file itself."""
    name, image = await state.papers.image(review_id, tenant, page, round(scale, 2))
    tag = f'"{name}"'
    headers = {**NEVER_RUN, "ETag": tag, "Cache-Control": "private, no-cache"}
    if if_none_match and tag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(image, headers=headers, media_type="image/png")


@router.get("/text", responses=errors(404, 422))
async def get_text(review_id: str, state: StateDep, tenant: TenantDep) -> PaperResource:
    """The paper as the service reads it, in reading order and with positions; not blinded."""
    paper = await state.papers.text(review_id, tenant)
    return await asyncio.to_thread(paper_resource, paper, None)
