"""Random faults for half an hour: no accepted review may be lost, and memory must not grow.

    python -m benchmarks.soak [--minutes 30] [--seed 0]

Two service processes share a PostgreSQL database and the folder of papers. The first has an engine
double and its own clock; it is killed from time to time, and restarted. The second has an upstream
and runs from beginning to end: its memory is measured. Clients send background reviews to both,
wait for reviews, and stream them. Faults follow one another: each lasts up to five seconds, and the
next begins up to eight seconds later. At the end every accepted review must be completed, unless it
was a poison; the exit status is 1 otherwise.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx

from benchmarks import fault_site as site_of
from benchmarks.fault_clients import ANSWERS_WITHIN_S, Background, Client, Waiting
from benchmarks.fault_site import Site, Watch, kept
from benchmarks.faults import FAULTS
from benchmarks.report import Value, report

HOLDS_S, PAUSES_S = (0.2, 5.0), (1.0, 8.0)
ENDS_WITHIN_S = 300.0
MEASURED_FROM = 0.2
"""The share of the time after which memory is first measured."""
EVERY_S = 0.8
"""Between two background reviews that one client hands in."""


class Soak:
    """The faults, one after the other, until the time is over."""

    def __init__(self, site: Site, clients: dict[str, Client], minutes: float, seed: int) -> None:
        self._site, self._clients = site, clients
        self._lasts_s = 60 * minutes
        self._random = random.Random(seed)  # noqa: S311
        self.happened: Counter[str] = Counter()
        self.memory_mib: list[float] = []
        """Of the service that is never killed, when first measured and at the end."""

    def run(self) -> None:
        began = time.monotonic()
        urls = [service.url for service in self._site.services]
        for number, client in enumerate(self._clients.values()):
            client.begin(urls[number % len(urls)], None)
        while (passed := time.monotonic() - began) < self._lasts_s:
            if not self.memory_mib and passed >= MEASURED_FROM * self._lasts_s:
                self._measure()
            self._next(urls[0])
            time.sleep(self._random.uniform(*PAUSES_S))
        self._measure()
        for client in self._clients.values():
            client.end()
        deadline = time.monotonic() + ENDS_WITHIN_S
        for client in self._clients.values():
            client.settle(deadline)

    def _measure(self) -> None:
        self.memory_mib.append(round(self._site.services[1].memory_mib(), 1))

    def _next(self, url: str) -> None:
        name = self._random.choice([name for name in FAULTS if name != "none"])
        fault, holds_s = FAULTS[name], self._random.uniform(*HOLDS_S)
        self.happened[name] += 1
        print(f"{time.strftime('%X')} {name}", file=sys.stderr, flush=True)
        if fault.poison:
            background = self._clients["background 1"]
            assert isinstance(background, Background)
            with httpx.Client(base_url=url, timeout=ANSWERS_WITHIN_S) as client:
                background.hand_in(client, f"poison {self.happened.total()}", fault.poison)
            return
        with fault.happens(self._site):
            if fault.lasts:
                time.sleep(holds_s)


def soak(folder: Path, minutes: float, seed: int) -> dict[str, Value]:
    clients: dict[str, Client] = {
        "background 1": Background("one", EVERY_S),
        "background 2": Background("two", EVERY_S),
        "synchronous": Waiting(stream=False),
        "streamed": Waiting(stream=True),
    }
    with ExitStack() as stack:
        site = Site(folder)
        parts = (site_of.scripted_engine, site_of.own_clock, site_of.postgresql)
        killed = kept(site, stack, "log-1", *parts)
        lasting = kept(site, stack, "log-2", site_of.another_server, site_of.postgresql)
        run = Soak(site, clients, minutes, seed)
        with (
            Watch(killed.url, "/livez", 0.2) as first,
            Watch(lasting.url, "/livez", 0.2) as second,
        ):
            run.run()
    seen = [client.seen for client in clients.values()]
    accepted = [len(one.accepted) for one in clients.values() if isinstance(one, Background)]
    for kind, client in clients.items():
        print(f"{kind}: {client.seen}", file=sys.stderr)
    print(f"faults: {dict(run.happened)}", file=sys.stderr)
    return {
        "minutes": minutes,
        "seed": seed,
        "faults": run.happened.total(),
        "accepted in the background": sum(accepted),
        "poison": sum(len(one.poison) for one in seen),
        "lost": sum(len(one.lost) for one in seen),
        "innocent failed": sum(len(one.failed) for one in seen),
        "starts": killed.starts,
        "MiB at 20 %": run.memory_mib[0],
        "MiB at the end": run.memory_mib[-1],
        "memory ratio": round(run.memory_mib[-1] / run.memory_mib[0], 3),
        "livez p99 ms": round(second.p99_ms()),
        "livez p99 ms of the killed one": round(first.p99_ms()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reviewer-soak-") as place:
        found = soak(Path(place), asked.minutes, asked.seed)
    rows: list[dict[str, Value]] = [{"what": name, "found": found[name]} for name in found]
    results: dict[str, Value] = {name.replace(" ", "_"): value for name, value in found.items()}
    report("soak", "two services, one database", rows, **results)
    return int(bool(found["lost"] or found["innocent failed"]))


if __name__ == "__main__":
    sys.exit(main())
