"""Addresses without the user and password that may stand in them."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"(?<=://)[^\s/]+@")


def without_credentials(text: str) -> str:
    """The text, each address in it without what stands before its host."""
    return _CREDENTIALS.sub("", text) if "@" in text else text
