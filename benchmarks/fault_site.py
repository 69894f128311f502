"""Services that are restarted when they end, with the faults that can be caused in them."""

from __future__ import annotations

import contextlib
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil

from tests.postgres import Postgres
from tests.scripted import DIE, HANG
from tests.service import ScriptedService, Service, free_port
from tests.upstream import Fault as UpstreamFault
from tests.upstream import ReviewUpstream

LINE_S = 0.05
"""A review has eighteen lines."""
LEASE_S = 3
JUMP_S = 7200
_FULL_AT = 1000
_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
"""Debian's package ``libfaketime``; without it clocks do not jump."""


class KeptService:
    """A service that is restarted immediately when it ends; a context manager."""

    def __init__(self, kind: type[Service], log: Path, environment: dict[str, str]) -> None:
        self._kind, self._log, self._environment = kind, log, environment
        self._port = free_port()
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep)
        self.starts = 0
        self.service = self._start()

    def _start(self) -> Service:
        self.starts += 1
        return self._kind(self._log, self._port, **self._environment)

    def _keep(self) -> None:
        while not self._over.wait(0.05):
            if self.service.process.poll() is not None:
                self.service = self._start()

    @property
    def url(self) -> str:
        return self.service.url

    def kill(self) -> None:
        self.service.process.kill()

    def limit_files(self, size: int) -> None:
        """Limit the size of files that it can write, in bytes, to simulate a full disk."""
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(self.service.process.pid).rlimit(resource.RLIMIT_FSIZE, (size, -1))

    def memory_mib(self) -> float:
        """Resident memory."""
        rss: int = psutil.Process(self.service.process.pid).memory_info().rss
        return rss / 2**20

    def __enter__(self) -> Self:
        self._keeper.start()
        try:
            self.service.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        self._over.set()
        self._keeper.join()
        if self.service.process.poll() is None:
            self.service.stop()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


@dataclass
class Site:
    """Services with a shared data folder, and the parts in which faults are caused."""

    folder: Path
    services: list[KeptService] = field(default_factory=list)
    postgres: Postgres | None = None
    database_url: str = ""
    upstream: ReviewUpstream | None = None

    @property
    def engine_faults(self) -> Path:
        return self.folder / "faults"

    @property
    def clock(self) -> Path:
        return self.folder / "clock"


Part = Callable[[Site, ExitStack], dict[str, str]]
"""Adds to a site what a fault needs; returns the service's settings for it."""


def scripted_engine(site: Site, _: ExitStack) -> dict[str, str]:
    site.engine_faults.mkdir(exist_ok=True)
    return {"SCRIPTED_FAULTS": str(site.engine_faults), "SCRIPTED_DELAY_S": str(LINE_S)}


def another_server(site: Site, stack: ExitStack) -> dict[str, str]:
    site.upstream = stack.enter_context(ReviewUpstream(LINE_S))
    return site.upstream.settings


def postgresql(site: Site, stack: ExitStack) -> dict[str, str]:
    """One database for all services."""
    if site.postgres is None:
        site.postgres = stack.enter_context(Postgres())
        site.database_url = site.postgres.new_database()
    return {"REVIEWER_DATABASE_URL": site.database_url}


def own_clock(site: Site, _: ExitStack) -> dict[str, str]:
    """The service's; it follows what is written into a file, within a second."""
    assert _FAKETIME.exists(), "this needs Debian's libfaketime"
    _set_clock(site, 0)
    return {
        "LD_PRELOAD": str(_FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(site.clock),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def kept(site: Site, stack: ExitStack, log: str, *parts: Part, **environment: str) -> KeptService:
    """One more service of the site, which is ready."""
    for part in parts:
        environment |= part(site, stack)
    environment |= {"REVIEWER_LEASE_S": str(LEASE_S), "REVIEWER_SHUTDOWN_DELAY_S": "0"}
    kind = Service if another_server in parts else ScriptedService
    service = stack.enter_context(KeptService(kind, site.folder / log, environment))
    site.services.append(service)
    return service


# -- the faults: each begins with its context, and is over with it -------------------------------


@contextmanager
def engine_killed(site: Site) -> Iterator[None]:
    (site.engine_faults / DIE).touch()
    yield


@contextmanager
def engine_hangs(site: Site) -> Iterator[None]:
    (site.engine_faults / HANG).touch()
    try:
        yield
    finally:
        (site.engine_faults / HANG).unlink(missing_ok=True)


def upstream_is(fault: UpstreamFault) -> Callable[[Site], AbstractContextManager[None]]:
    @contextmanager
    def happens(site: Site) -> Iterator[None]:
        assert site.upstream
        site.upstream.fault = fault
        try:
            yield
        finally:
            site.upstream.fault = None

    return happens


@contextmanager
def database_away(site: Site) -> Iterator[None]:
    assert site.postgres
    site.postgres.stop()
    try:
        yield
    finally:
        site.postgres.start()


@contextmanager
def folder_away(site: Site) -> Iterator[None]:
    there, elsewhere = site.folder / "data" / "papers", site.folder / "data" / "elsewhere"
    there.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(there)


@contextmanager
def disk_full(site: Site) -> Iterator[None]:
    for service in site.services:
        service.limit_files(_FULL_AT)
    try:
        yield
    finally:
        for service in site.services:
            service.limit_files(-1)


@contextmanager
def process_killed(site: Site) -> Iterator[None]:
    site.services[0].kill()
    yield


@contextmanager
def clock_jumps(site: Site) -> Iterator[None]:
    """Forwards, and back at the end."""
    _set_clock(site, JUMP_S)
    try:
        yield
    finally:
        _set_clock(site, 0)


def _set_clock(site: Site, ahead_s: int) -> None:
    new = site.clock.with_suffix(".new")
    new.write_text(f"+{ahead_s}\n")
    new.replace(site.clock)


class Watch:
    """Requests ``path`` from a service continuously, in a thread; a context manager."""

    def __init__(self, url: str, path: str, pause_s: float = 0.05) -> None:
        self._url, self._pause_s = url + path, pause_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.bad_at = 0.0
        """When it last did not answer 200, by ``time.monotonic``."""
        self.took_ms: list[float] = []
        """Of each answer."""

    def _ask(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._over.wait(self._pause_s):
                began = time.perf_counter()
                try:
                    good = client.get(self._url).is_success
                    self.took_ms.append(1000 * (time.perf_counter() - began))
                except httpx.TransportError:
                    good = False
                if not good:
                    self.bad_at = time.monotonic()

    def p99_ms(self) -> float:
        return sorted(self.took_ms)[int(0.99 * len(self.took_ms))] if self.took_ms else 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
