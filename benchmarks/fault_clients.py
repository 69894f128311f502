"""Clients that keep sending requests during faults, and record the answers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
from httpx_sse import SSEError, connect_sse

from tests.client.command import lines, tiny_papers

PAUSE_S = 0.3
"""Before a request is sent again."""
ANSWERS_WITHIN_S = 60.0
LOST = "connection lost"
_BATCH_PAPERS = 8


@dataclass
class Seen:
    """The answers to the clients of one kind, and the ends of the reviews that they sent."""

    answers: Counter[str] = field(default_factory=Counter)
    poison: list[str] = field(default_factory=list)
    """What was answered to the poisoned papers."""
    lost: list[str] = field(default_factory=list)
    """Accepted reviews that are missing or did not end in time."""
    failed: list[str] = field(default_factory=list)
    """Accepted reviews that failed without having caused the fault."""

    def __str__(self) -> str:
        told = [f"{count} {answer}" for answer, count in self.answers.most_common()]
        told += [f"poison: {answer}" for answer in self.poison]
        told += [f"LOST: {one}" for one in self.lost] + [f"FAILED: {one}" for one in self.failed]
        return "; ".join(told)


class Client(Protocol):
    """Sends requests in a thread until its time is over and all of them are answered."""

    seen: Seen

    def begin(self, url: str, poison: str | None) -> None: ...

    def begun(self) -> bool:
        """Whether it has something under way."""

    def end(self) -> None: ...

    def settle(self, deadline: float) -> None:
        """Wait for all reviews to end, until ``deadline`` (``time.monotonic``)."""


def paper(name: str, poison: str | None = None) -> dict[str, Any]:
    """A paper of its own for each name."""
    said = f"# Introduction\n\nWe count the tokens of {name}. {poison or ''}"
    return {"title": f"Paper {name}", "abstract": "A", "body": said}


def code_of(response: httpx.Response) -> str:
    """200, 202, or the error's code."""
    if response.is_success:
        return str(response.status_code)
    try:
        code: str = response.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} without a code"
    return code


def ask(client: httpx.Client, body: dict[str, Any]) -> str:
    """A review that is waited for."""
    try:
        return code_of(client.post("/v1/reviews", json=body))
    except httpx.TransportError:
        return LOST


def follow(client: httpx.Client, body: dict[str, Any]) -> str:
    """A review that is streamed: "200", or how it ended otherwise."""
    asked = {**body, "stream": True}
    try:
        with connect_sse(client, "POST", "/v1/reviews", json=asked) as source:
            if not source.response.is_success:
                source.response.read()
                return code_of(source.response)
            for event in source.iter_sse():
                if event.event == "review.completed":
                    return "200"
                if event.event == "error":
                    code: str = event.json()["error"]["code"]
                    return f"{code} in the stream"
    except (httpx.TransportError, SSEError):
        return LOST
    return "end without a last event"


class Waiting:
    """A client that waits for each review or streams it, and sends failed requests again."""

    def __init__(self, *, stream: bool) -> None:
        self.seen = Seen()
        self._ask = follow if stream else ask
        self._name = "streamed" if stream else "synchronous"
        self._over, self._sent = threading.Event(), threading.Event()
        self._deadline = float("inf")
        self._thread: threading.Thread | None = None

    def begin(self, url: str, poison: str | None) -> None:
        self._thread = threading.Thread(target=self._send, args=(url, poison))
        self._thread.start()

    def begun(self) -> bool:
        return self._sent.is_set()

    def _send(self, url: str, poison: str | None) -> None:
        number = 0
        with httpx.Client(base_url=url, timeout=ANSWERS_WITHIN_S) as client:
            while not self._over.is_set():
                number += 1
                self._sent.set()
                self._until_served(client, f"{self._name} {number}")
                if poison and number == 1:
                    said = self._ask(client, paper(f"{self._name} poison", poison))
                    self.seen.poison.append(said)

    def _until_served(self, client: httpx.Client, name: str) -> None:
        while time.monotonic() < self._deadline:
            answer = self._ask(client, paper(name))
            self.seen.answers[answer] += 1
            if answer == "200":
                return
            time.sleep(PAUSE_S)
        self.seen.failed.append(name)

    def end(self) -> None:
        self._over.set()

    def settle(self, deadline: float) -> None:
        self._deadline = deadline
        if self._thread:
            self._thread.join()


class Background:
    """A client that sends background reviews, and gets them at the end."""

    def __init__(self, name: str = "background", every_s: float = 0.4) -> None:
        self.seen = Seen()
        self._name = name
        self._every_s = every_s
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._url = ""
        self.accepted: dict[str, bool] = {}
        """Ids of reviews, and whether they are poison."""

    def begin(self, url: str, poison: str | None) -> None:
        self._url = url
        self._thread = threading.Thread(target=self._send, args=(poison,))
        self._thread.start()

    def begun(self) -> bool:
        return len(self.accepted) >= 4

    def _send(self, poison: str | None) -> None:
        number = 0
        with httpx.Client(base_url=self._url, timeout=ANSWERS_WITHIN_S) as client:
            while not self._over.is_set():
                number += 1
                self.hand_in(client, str(number))
                if poison and number == 3:
                    self.hand_in(client, "poison", poison)
                self._over.wait(self._every_s if self.begun() else 0)

    def hand_in(self, client: httpx.Client, name: str, poison: str | None = None) -> None:
        """Send it with an idempotency key, so that it can be sent again if the answer was lost."""
        name = f"{self._name} {name}"
        body = {**paper(name, poison), "background": True}
        while not self._over.is_set():
            try:
                key = {"Idempotency-Key": name}
                response = client.post("/v1/reviews", json=body, headers=key)
                answer = code_of(response)
            except httpx.TransportError:
                answer = LOST
            self.seen.answers[answer] += 1
            if answer in ("200", "202"):
                self.accepted[response.json()["id"]] = poison is not None
                return
            self._over.wait(PAUSE_S)

    def end(self) -> None:
        self._over.set()

    def settle(self, deadline: float) -> None:
        if self._thread:
            self._thread.join()
        with httpx.Client(base_url=self._url, timeout=ANSWERS_WITHIN_S) as client:
            for review_id, poison in self.accepted.items():
                self._look(client, review_id, deadline, poison=poison)
        completed = len(self.accepted) - len(self.seen.lost) - len(self.seen.failed)
        self.seen.answers["completed"] = completed - len(self.seen.poison)

    def _look(self, client: httpx.Client, review_id: str, deadline: float, *, poison: bool) -> None:
        status, code = "", ""
        while status not in ("completed", "failed", "cancelled") and time.monotonic() < deadline:
            wait_s = max(0.0, min(10.0, deadline - time.monotonic()))
            try:
                found = client.get(f"/v1/reviews/{review_id}", params={"wait": wait_s})
            except httpx.TransportError:
                time.sleep(PAUSE_S)
                continue
            if found.status_code == httpx.codes.NOT_FOUND:
                status = "not there"
                break
            if found.is_success:
                status = found.json()["status"]
                code = (found.json()["error"] or {}).get("code", "")
        if poison:
            self.seen.poison.append(code or status)
        elif status in ("failed", "cancelled"):
            self.seen.failed.append(f"{review_id} {code or status}")
        elif status != "completed":
            self.seen.lost.append(f"{review_id} {status or 'no answer'}")


class Batch:
    """``reviewer batch``, as a person calls it."""

    def __init__(self, folder: Path) -> None:
        self.seen = Seen()
        self._folder, self._out = folder / "batch", folder / "batch.jsonl"
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, url: str, poison: str | None) -> None:
        tiny_papers(self._folder, _BATCH_PAPERS)
        if poison:
            (self._folder / "003 poison.md").write_text(f"# Poison\n\n# Introduction\n\n{poison}\n")
        command: list[str | Path] = [
            Path(sys.executable).with_name("reviewer"),
            *("batch", self._folder, "--out", self._out),
            *("--url", url, "--concurrency", "2", "--patience", "60"),
        ]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def begun(self) -> bool:
        assert self._process
        return (self._out.exists() and bool(self._out.read_bytes())) or (
            self._process.poll() is not None
        )

    def end(self) -> None:
        pass

    def settle(self, deadline: float) -> None:
        assert self._process
        try:
            status = str(self._process.wait(max(0.0, deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = "none, it had to be ended"
        self.seen.answers[f"exit status {status}"] = 1
        found = {line["path"]: line for line in lines(self._out)}
        for file in sorted(self._folder.iterdir()):
            line = found.get(file.name)
            said = "no line" if line is None else (line.get("error") or {}).get("code", "review")
            if "poison" in file.name:
                self.seen.poison.append(said)
            elif said == "no line":
                self.seen.lost.append(file.name)
            elif said != "review":
                self.seen.failed.append(f"{file.name} {said}")
            else:
                self.seen.answers["reviews"] += 1
