"""A Hugging Face hub on loopback: one repository, served as its client asks for it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPOSITORY = "owner/paper-model"
SHA = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """``files`` may be changed while it runs. ``sizes`` are what it says of them, where they differ
    from the truth; ``cut`` are files that it sends half of. ``refusal`` answers all that is asked:
    a status and the header ``X-Error-Code``.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.sizes: dict[str, int] = {}
        self.cut: set[str] = set()
        self.refusal: tuple[int, str] | None = None
        self.sent: list[str] = []
        self.url = ""

    def tree(self) -> list[dict[str, object]]:
        return [
            {
                "type": "file",
                "path": name,
                "oid": hashlib.sha1(data, usedforsecurity=False).hexdigest(),
                "size": self.sizes.get(name, len(data)),
            }
            for name, data in self.files.items()
        ]


class _Handler(BaseHTTPRequestHandler):
    told: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.split("?")[0]
        if self.told.refusal:
            status, code = self.told.refusal
            self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": "no"})
        elif path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            self._send(200, json.dumps(self.told.tree()).encode(), {})
        elif path.startswith(f"/api/models/{REPOSITORY}"):
            siblings = [{"rfilename": name} for name in self.told.files]
            about = {"id": REPOSITORY, "sha": SHA, "siblings": siblings}
            self._send(200, json.dumps(about).encode(), {})
        elif (name := path.rpartition(f"/{SHA}/")[2]) in self.told.files:
            self._send_file(name)
        else:
            self._send(404, b"{}", {})

    def _send_file(self, name: str) -> None:
        data = self.told.files[name]
        etag = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        if self.command == "GET":
            self.told.sent.append(name)
        half = len(data) // 2 if name in self.told.cut and self.command == "GET" else None
        size = str(self.told.sizes.get(name, len(data)))
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": SHA, "X-Linked-Size": size}
        self._send(200, data, headers, half)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], only: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:only])
        if only is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


@contextmanager
def hub(files: Mapping[str, bytes]) -> Iterator[Hub]:
    told = Hub(files)
    handler = type("Handler", (_Handler,), {"told": told})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        told.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
