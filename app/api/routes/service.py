"""``/v1/service``: what this service accepts, for clients that show it to people."""

from __future__ import annotations

from fastapi import APIRouter

from app import __version__
from app.api.routes.state import StateDep
from app.api.schemas.service import ServiceInfo
from app.errors import EngineUnavailable
from app.resources.service import service_info

router = APIRouter(prefix="/v1/service", tags=["service"])


@router.get("")
async def get_service(state: StateDep) -> ServiceInfo:
    """The model, the templates, the limits, and how verdicts are decided."""
    try:
        model = state.supervisor.engine().model
    except EngineUnavailable:
        model = None
    return service_info(state.rules, __version__, model)
