"""Is it up, can it answer, what is it, how is it doing."""

from __future__ import annotations

from contextlib import suppress

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app import __version__
from app.errors import EngineUnavailable
from app.routes.state import StateDep
from app.schemas.errors import ErrorEnvelope
from app.schemas.health import Readiness, VersionInfo

router = APIRouter(tags=["service"])


@router.get("/livez")
async def livez() -> Readiness:
    """The process answers."""
    return Readiness()


@router.get("/readyz", responses={503: {"model": ErrorEnvelope}})
async def readyz(state: StateDep) -> Readiness:
    """The model has answered, its engine and the store can be reached, and the service is not being
    stopped; otherwise 503 with the reason."""
    state.workers.check()
    state.storage.check()
    state.supervisor.engine()
    return Readiness()


@router.get("/metrics", response_class=Response)
async def metrics(state: StateDep) -> Response:
    """The service's metrics and the engine's, in Prometheus' text format."""
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
