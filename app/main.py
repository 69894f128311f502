"""The application: ``create_app(settings)``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app import __version__
from app.disconnect import ClientGone
from app.engine.base import Engine
from app.engine.launcher import engine_launcher
from app.engine.supervisor import Launch, Supervisor
from app.errors import InvalidRequest, ReviewerError, unexpected
from app.jobs.board import Board
from app.jobs.desk import Desk
from app.jobs.run import Workplace
from app.jobs.workers import Workers
from app.metrics import Metrics
from app.paper.reader import PaperReader
from app.review.plan import ReviewRules
from app.review.service import ReviewService
from app.routes import health, openai, papers, reviews
from app.routes.state import State
from app.settings import Settings
from app.store.storage import Storage
from app.uploads import BodyLimit

_CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that hung up; nobody reads the answer."""


def create_app(settings: Settings, engine: Engine | None = None) -> FastAPI:
    """The service. ``engine`` replaces the one that the settings name.

    Raises:
        ConfigurationError: the settings can't work.
    """
    supervisor = Supervisor(_launches(engine) if engine else engine_launcher(settings))
    metrics = Metrics()
    rules = ReviewRules.load(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        storage = Storage(settings)
        await storage.start()
        async with PaperReader(settings) as reader:
            service = ReviewService(rules, supervisor, reader)
            place = Workplace(settings, storage.store, service, Board(storage.store), metrics)
            workers = Workers(place, supervisor)
            desk = Desk(place, workers)
            app.state.reviewer = State(supervisor, reader, storage, workers, desk, metrics)
            await supervisor.start()
            workers.start()
            try:
                yield
            finally:
                await workers.stop()
                await supervisor.stop()
                await storage.stop()

    app = FastAPI(
        title="Scientific reviewer",
        version=__version__,
        description=__doc__,
        lifespan=lifespan,
    )
    app.add_middleware(BodyLimit, max_bytes=int(settings.max_upload_mb * 1e6))
    app.include_router(health.router)
    app.include_router(papers.router)
    app.include_router(reviews.router)
    app.include_router(openai.router)
    _handle_errors(app, metrics)
    return app


def _launches(engine: Engine) -> Launch:
    async def launch() -> Engine:
        return engine

    return launch


def _handle_errors(app: FastAPI, metrics: Metrics) -> None:
    """Every error leaves in OpenAI's envelope, and is counted."""

    def answer(error: ReviewerError, status: int | None = None) -> JSONResponse:
        metrics.errors.labels(code=error.code).inc()
        headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
        return JSONResponse(error.envelope(), status or error.status, headers)

    @app.exception_handler(ReviewerError)
    async def known(_: Request, error: ReviewerError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(HTTPException)
    async def framework(_: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        kind = (
            InvalidRequest
            if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
            else ReviewerError
        )
        known_as = kind(str(error.detail), code=code)
        response = answer(known_as, error.status_code)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def query(_: Request, error: RequestValidationError) -> JSONResponse:
        # Bodies are checked by the handlers; this is a parameter of the path or the query.
        first = error.errors()[0]
        name = str(first["loc"][-1])
        return answer(InvalidRequest(f"{name}: {first['msg']}", param=name))

    @app.exception_handler(ClientGone)
    async def client_gone(_: Request, __: ClientGone) -> Response:
        return Response(status_code=_CLIENT_CLOSED_REQUEST)

    @app.exception_handler(Exception)
    async def unknown(_: Request, error: Exception) -> JSONResponse:
        response = answer(unexpected(error))
        # uvicorn closes the connection after it: a client that knows does not reuse it.
        response.headers["Connection"] = "close"
        return response
