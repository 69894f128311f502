"""Faults with several kinds of clients: their errors, lost reviews, and the time to recover.

    python -m benchmarks.faults [FAULT ...]

For each fault there is a service process with an engine double or an upstream that generates a line
every 50 ms; it is restarted whenever it ends. Four clients use it: one waits for each review, one
streams each, one sends background reviews, and ``reviewer batch`` reviews a folder of eight PDFs.
When all of them have started, the fault begins; it ends after HOLDS_S seconds, or is a single
event. Then all accepted reviews must be completed; the exit status is 1 otherwise.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import fault_site as site_of
from benchmarks.fault_clients import Background, Batch, Client, Waiting
from benchmarks.fault_site import Part, Site, Watch, kept
from benchmarks.report import Value, report
from tests.doubles import KILLS
from tests.scripted import KILLS_THE_PROCESS

HOLDS_S, BEGINS_WITHIN_S, ENDS_WITHIN_S = 3.0, 180.0, 180.0


@dataclass(frozen=True, slots=True)
class Fault:
    parts: tuple[Part, ...]
    happens: Callable[[Site], AbstractContextManager[None]]
    lasts: bool = True
    poison: str | None = None


@contextmanager
def nothing(_: Site) -> Iterator[None]:
    yield


_ENGINE, _UPSTREAM = (site_of.scripted_engine,), (site_of.another_server,)
FAULTS = {
    "none": Fault(_ENGINE, nothing),
    "engine killed": Fault(_ENGINE, site_of.engine_killed, lasts=False),
    "engine hangs": Fault(_ENGINE, site_of.engine_hangs),
    "upstream 502": Fault(_UPSTREAM, site_of.upstream_is("bad gateway")),
    "upstream malformed": Fault(_UPSTREAM, site_of.upstream_is("malformed")),
    "upstream slow": Fault(_UPSTREAM, site_of.upstream_is("slow")),
    "database away": Fault((*_ENGINE, site_of.postgresql), site_of.database_away),
    "papers away": Fault(_ENGINE, site_of.folder_away),
    "disk full": Fault(_ENGINE, site_of.disk_full),
    "process killed": Fault(_ENGINE, site_of.process_killed, lasts=False),
    "poison for the engine": Fault(_ENGINE, nothing, poison=KILLS),
    "poison for the process": Fault(_ENGINE, nothing, poison=KILLS_THE_PROCESS),
    "clock jumps": Fault((*_ENGINE, site_of.own_clock), site_of.clock_jumps),
}


def try_out(name: str, fault: Fault, folder: Path) -> list[dict[str, Value]]:
    """A row for each kind of client."""
    clients: dict[str, Client] = {
        "synchronous": Waiting(stream=False),
        "streamed": Waiting(stream=True),
        "background": Background(),
        "batch": Batch(folder),
    }
    # A poison is retried alone until it has no attempts left, which by default takes over a minute.
    attempts = {"REVIEWER_MAX_ATTEMPTS": "2"} if fault.poison else {}
    with ExitStack() as stack:
        site = Site(folder)
        service = kept(site, stack, "log", *fault.parts, **attempts)
        with Watch(service.url, "/readyz") as readiness:
            over = _let_it_happen(site, fault, clients)
            done = {kind: _settled(client, over) for kind, client in clients.items()}
    ready_after_s = max(0.0, readiness.bad_at - over)
    return [
        {
            "fault": name,
            "client": kind,
            "saw": str(client.seen),
            "lost": len(client.seen.lost),
            "failed": len(client.seen.failed),
            "ready s": round(ready_after_s, 1),
            "done s": round(done[kind] - over, 1),
        }
        for kind, client in clients.items()
    ]


def _let_it_happen(site: Site, fault: Fault, clients: dict[str, Client]) -> float:
    """Returns when it was over, by ``time.monotonic``."""
    for client in clients.values():
        client.begin(site.services[0].url, fault.poison)
    ends = time.monotonic() + BEGINS_WITHIN_S
    while not all(client.begun() for client in clients.values()):
        assert time.monotonic() < ends, "the clients have not begun"
        time.sleep(0.02)
    with fault.happens(site):
        if fault.lasts:
            time.sleep(HOLDS_S)
    over = time.monotonic()
    time.sleep(HOLDS_S)
    for client in clients.values():
        client.end()
    return over


def _settled(client: Client, over: float) -> float:
    """Returns when all of it had ended, by ``time.monotonic``."""
    client.settle(over + ENDS_WITHIN_S)
    return time.monotonic()


def main() -> int:
    rows: list[dict[str, Value]] = []
    for name in sys.argv[1:] or FAULTS:
        with tempfile.TemporaryDirectory(prefix="reviewer-faults-") as place:
            cells = try_out(name, FAULTS[name], Path(place))
        for cell in cells:
            print(*cell.values(), sep=" | ", file=sys.stderr)
        rows += cells
    lost, failed = (sum(int(row[what] or 0) for row in rows) for what in ("lost", "failed"))
    report("faults", f"held for {HOLDS_S:g} s", rows, lost=lost, innocent_failed=failed)
    return int(lost + failed > 0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
