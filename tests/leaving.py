"""A client that hangs up in the middle."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx


@contextmanager
def leaving(
    client: httpx.Client, asked: dict[str, Any], path: str = "/v1/reviews", **headers: str
) -> Iterator[Callable[[], None]]:
    """Has sent its POST when the block begins, and hangs up when it is called."""
    body = json.dumps(asked).encode()
    head = {"Host": "x", "Content-Type": "application/json", "Content-Length": len(body), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
        yield connection.close
