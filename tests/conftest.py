"""The real service on the real small model, once for the whole session; and data where it is."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import openai
import pytest
import uvicorn
from pydantic import SecretStr

from app.api.server import connections
from app.engine.base import Engine
from app.engine.models import SMOLLM2, locate
from app.engine.tokenizer import ChatTokenizer
from app.main import create_app
from app.settings import Settings
from tests.postgres import Postgres
from tests.service import SMALL, ScriptedService, Service, free_port

MODEL = "model"
"""The group of tests that need the real model, of which only one may run at a time."""
HANG_S = 20
"""After so long the real service's engine counts as hung; no step of it takes a tenth of that."""
SHARED = Path(__file__).parents[2] / "shared"


# Started in the background by a shell, the suite ignores Ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


# First, since pytest-xdist puts the groups' names into the tests' ids in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups for two workers (``--dist loadgroup``), and an order.

    The tests with the real model are one group, the others one for each file, so that a module's
    fixtures are made once. What ends the model's engine comes last.
    """
    for item in items:
        if "service" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(MODEL))
        elif item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: item.get_closest_marker("ends_the_engine") is not None)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names files by their argument: a PDF made by a test differs from one worker to the next,
    and pytest-xdist refuses workers whose tests are not named alike."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a store of its own, unless it says otherwise."""
    folder = tmp_path / "data"
    monkeypatch.setenv("REVIEWER_DATA_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> SecretStr | None:
    """An empty database of each kind, one after the other; None for the data folder's own."""
    if request.param == "sqlite":
        return None
    postgres: Postgres = request.getfixturevalue("postgres")
    return SecretStr(postgres.new_database())


@pytest.fixture(scope="session")
def shared_papers() -> Path:
    """Thirty real papers with their titles and abstracts; not part of the project."""
    folder = SHARED / "pdfs" / "papers"
    if not folder.is_dir():
        pytest.skip("the shared papers are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """The embedded model, converted."""
    return Path(locate(SMOLLM2, Settings().cache_dir))


@pytest.fixture(scope="session")
def tokenizer(model_folder: Path) -> ChatTokenizer:
    return ChatTokenizer.load(model_folder)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real service, with short prompts and reviews."""
    log = tmp_path_factory.mktemp("service") / "log"
    hang = {"REVIEWER_ENGINE_HANG_S": str(HANG_S)}
    with Service(log, **SMALL, **hang, VLLM_LOGGING_LEVEL="INFO") as running:
        yield running


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=120) as client:
        yield client


@pytest.fixture(scope="session")
def sdk(service: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service around a scripted engine, for all that needs no model."""
    with ScriptedService(tmp_path_factory.mktemp("quick") / "log") as running:
        yield running


Serve = Callable[[Engine | None, Settings], httpx.Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves the real application over real sockets, around an engine double if there is one."""
    with contextlib.ExitStack() as stack:

        def start(engine: Engine | None, settings: Settings) -> httpx.Client:
            port = free_port()
            server = uvicorn.Server(
                uvicorn.Config(
                    create_app(settings, engine),
                    port=port,
                    log_level="error",
                    http=connections(settings),
                )
            )
            thread = threading.Thread(target=server.run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(setattr, server, "should_exit", True)
            client = stack.enter_context(
                httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)
            )
            _wait_ready(client)
            return client

        yield start


def _wait_ready(client: httpx.Client) -> None:
    for _ in range(200):
        with contextlib.suppress(httpx.TransportError):
            if client.get("/readyz").status_code == httpx.codes.OK:
                return
        time.sleep(0.05)
    raise AssertionError("the service with an engine double did not start")
