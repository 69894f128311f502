"""Liveness, readiness, version and metrics."""

from __future__ import annotations

from contextlib import suppress

from fastapi import APIRouter, Response, Security
from prometheus_client import CONTENT_TYPE_LATEST

from app import __version__
from app.api.routes.responses import errors
from app.api.routes.security import bearer_key
from app.api.routes.state import StateDep
from app.api.schemas.health import Readiness, VersionInfo
from app.errors import EngineUnavailable, StoreUnavailable

router = APIRouter(tags=["service"])


@router.get("/livez", responses=errors(503))
async def livez(state: StateDep) -> Readiness:
    """The process answers, and all of its background tasks are running. If this fails, the process
    must be restarted.
    """
    state.check_alive()
    return Readiness()


@router.get("/readyz", responses=errors(503))
async def readyz(state: StateDep) -> Readiness:
    """The model answers, the database can be reached, and the service is not stopping. Otherwise
    503 with the reason.
    """
    state.check_ready()
    return Readiness()


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Security(bearer_key)],
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **errors(401)},
)
async def metrics(state: StateDep) -> Response:
    """The service's metrics and the engine's, in Prometheus' text format."""
    try:
        unfinished = await state.storage.store.reviews.counts()
    except StoreUnavailable:
        unfinished = {}
    state.metrics.count_unfinished(unfinished)
    page = state.metrics.page()
    with suppress(EngineUnavailable):
        page += state.supervisor.engine().metrics()
    return Response(page, media_type=CONTENT_TYPE_LATEST)


@router.get("/version")
async def version(state: StateDep) -> VersionInfo:
    """Versions of the service and its engine, and the model's name."""
    try:
        model = state.supervisor.engine().model
    except EngineUnavailable:
        return VersionInfo(version=__version__, model=None, engine=None)
    return VersionInfo(version=__version__, model=model.name, engine=model.version)
