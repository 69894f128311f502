"""The application: ``create_app(settings)``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import Depends, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app import __version__
from app.api.auth import Keyring
from app.api.body_limits import BodyLimits
from app.api.middleware.access import CLIENT_LEFT, Access
from app.api.middleware.auth_and_limits import AuthAndLimits
from app.api.middleware.bodies import Bodies
from app.api.middleware.early_response import LINGERING
from app.api.routes import health, openai, page, papers, points, reviews, service, stored_papers
from app.api.routes.query import only_known_parameters
from app.api.routes.responses import OF_ALL
from app.api.routes.security import bearer_key
from app.api.routes.state import State
from app.async_utils import ClientGone
from app.engine.base import Engine
from app.engine.launcher import engine_launcher
from app.engine.supervisor import Launch, Supervisor
from app.errors import InvalidRequest, ReviewerError
from app.jobs.concurrency import ConcurrencyLimiter
from app.jobs.job import WorkerContext
from app.jobs.manager import ReviewManager
from app.jobs.papers import StoredPapers
from app.jobs.points import PointsEditor
from app.jobs.registry import RunRegistry
from app.jobs.workers import Workers
from app.observability.logs import log_loop_faults
from app.observability.metrics import Metrics
from app.observability.tracing import traces_to
from app.paper.reader import PaperReader
from app.review.plan import ReviewRules
from app.review.service import ReviewService
from app.settings import Settings
from app.store.storage import Storage

OF_CLIENTS = (
    papers.router,
    points.router,  # before the reviews, of which none is named stats
    reviews.router,
    stored_papers.router,
    openai.router,
    service.router,
)


def create_app(settings: Settings, engine: Engine | None = None) -> FastAPI:
    """The application. ``engine`` replaces the engine that the settings name.

    Raises:
        ConfigurationError: the settings are invalid.
    """
    stopping = asyncio.Event()
    launch = _launches(engine) if engine else engine_launcher(settings, stopping.is_set)
    supervisor = Supervisor(launch, settings.engine_hang_s)
    metrics = Metrics()
    rules = ReviewRules.load(settings)
    keyring = Keyring(settings)
    limiter = ConcurrencyLimiter(settings, metrics)
    traces = traces_to(str(settings.otlp_endpoint) if settings.otlp_endpoint else None)
    limits = BodyLimits.of(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        log_loop_faults()
        storage = Storage(settings)
        await storage.start()
        async with PaperReader(settings) as reader:
            context = WorkerContext(
                settings,
                storage.store,
                supervisor,
                ReviewService(rules, supervisor, reader),
                keyring.cache_salt,
                metrics,
                traces,
            )
            registry = RunRegistry(context)
            workers = Workers(context, registry, storage, limiter, stopping)
            app.state.reviewer = State(
                supervisor,
                reader,
                storage,
                ReviewManager(context, registry, workers),
                StoredPapers(settings, storage.store, reader),
                PointsEditor(storage.store),
                rules,
                metrics,
                traces,
                keyring,
                limits,
                stopping,
                (supervisor.tasks, storage.tasks, workers.tasks),
            )
            await supervisor.start()
            workers.start()
            try:
                yield
            finally:
                stopping.set()
                await workers.stop()
                await supervisor.stop()
                await storage.stop()
                await asyncio.to_thread(traces.close)

    app = FastAPI(
        title="Scientific reviewer",
        version=__version__,
        description=__doc__,
        lifespan=lifespan,
    )
    app.state.stopping = stopping
    app.state.supervisor = supervisor
    # The middleware that is added last is the outermost.
    lingering = asyncio.Semaphore(LINGERING)
    app.add_middleware(
        Bodies, settings=settings, limits=limits, limiter=limiter, lingering=lingering
    )
    app.add_middleware(
        AuthAndLimits, keyring=keyring, settings=settings, limiter=limiter, lingering=lingering
    )
    app.add_middleware(Access, metrics=metrics, application=app)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["X-Request-Id", "Retry-After"],
        )
    app.include_router(health.router)
    app.include_router(page.router)
    for router in OF_CLIENTS:
        app.include_router(
            router,
            dependencies=[Security(bearer_key), Depends(only_known_parameters)],
            responses=OF_ALL,
        )
    _handle_errors(app)
    return app


def _launches(engine: Engine) -> Launch:
    async def launch() -> Engine:
        return engine

    return launch


def _handle_errors(app: FastAPI) -> None:
    """Answer every error in OpenAI's envelope; ``app.api.middleware.access`` counts it."""

    def answer(request: Request, error: ReviewerError, status: int | None = None) -> JSONResponse:
        request.state.error = error
        return JSONResponse(error.envelope(), status or error.status, error.headers)

    @app.exception_handler(ReviewerError)
    async def known(request: Request, error: ReviewerError) -> JSONResponse:
        return answer(request, error)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        kind = (
            InvalidRequest
            if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
            else ReviewerError
        )
        known_as = kind(str(error.detail), code=code)
        response = answer(request, known_as, error.status_code)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def query(request: Request, error: RequestValidationError) -> JSONResponse:
        # Handlers validate bodies themselves, so this is a parameter of the path or the query.
        first = error.errors()[0]
        name = str(first["loc"][-1])
        return answer(request, InvalidRequest(f"{name}: {first['msg']}", param=name))

    @app.exception_handler(ClientDisconnect)
    @app.exception_handler(ClientGone)
    async def client_gone(_: Request, __: Exception) -> Response:
        return Response(status_code=CLIENT_LEFT)
