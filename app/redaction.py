"""Texts without the keys and passwords that may stand in them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_CREDENTIALS = re.compile(r"(?<=://)[^\s/]+@")
_KEYS = re.compile(
    r"(?i:\bbearer )\S+|\b(?:sk|pk|rk|hf|gsk|xai|nvapi)[-_][\w*.-]*[\w*]|\bAIza[\w-]{8,}"
)
"""As servers print them: whole, or with asterisks in the middle."""
HIDDEN = "[hidden]"


def without_credentials(text: str) -> str:
    """The text, each address in it without what stands before its host."""
    return _CREDENTIALS.sub("", text) if "@" in text else text


def without_keys(text: str, known: Iterable[str] = ()) -> str:
    """The text without the ``known`` secrets, all that looks like a key, and credentials."""
    for secret in known:
        text = text.replace(secret, HIDDEN)
    return _KEYS.sub(HIDDEN, without_credentials(text))
