"""API keys: who may ask, and a salt for each so that none can time another's prompts.

A key is 256 random bits, so one round of SHA-256 keeps it as well as any slow hash would.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from app.errors import ConfigurationError, InvalidApiKey
from app.settings import Settings

log = logging.getLogger(__name__)

_PREFIX = "rvk-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")
_Stamp = tuple[int, int, int]


def new_key() -> str:
    """A key that nobody has seen; recognisable as one of ours where it turns up by mistake."""
    return _PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """What the settings keep of a key: SHA-256, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def checked_name(name: str) -> str:
    """
    Raises:
        ConfigurationError: it would not do as a name in logs and tables.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is no name for a key: use up to 64 letters, digits, dots, '_' and '-'",
            param="api_keys",
        )
    return name


def check_exposure(settings: Settings) -> None:
    """
    Raises:
        ConfigurationError: other machines could use the service, and nobody asked for that.
    """
    has_keys = bool(settings.api_keys) or settings.api_keys_file is not None
    if has_keys and settings.no_auth:
        raise ConfigurationError("there are API keys, and --no-auth: it is one or the other")
    address = settings.published_host or settings.host
    if has_keys or settings.no_auth or _is_loopback(address):
        return
    raise ConfigurationError(
        f"on {address or 'all addresses'} other machines can use the service, and there is no API "
        "key: 'reviewer keys create NAME' makes one for REVIEWER_API_KEYS or "
        "REVIEWER_API_KEYS_FILE; --no-auth (REVIEWER_NO_AUTH=true) goes without",
        param="api_keys",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Keyring:
    """The keys that hold now. Those of the file are read again whenever it has changed."""

    def __init__(self, settings: Settings) -> None:
        """
        Raises:
            ConfigurationError: a key's name or hash is none, or the file can't be read.
        """
        self._fixed = [_entry(name, digest) for name, digest in settings.api_keys.items()]
        self._file = settings.api_keys_file
        self._of_file: list[tuple[str, bytes]] = []
        self._stamp: _Stamp | None = None
        self._secret = secrets.token_bytes(32)
        self.required = bool(self._fixed) or self._file is not None
        """Whether a request needs a key; that does not change while the service runs."""
        if self._file is not None:
            try:
                self._of_file = list(_entries(self._file, skip_wrong=False))
                self._stamp = _stamp(self._file)
            except (OSError, UnicodeError) as error:
                raise ConfigurationError(
                    f"the file of API keys {self._file} can't be read: {type(error).__name__}",
                    param="api_keys_file",
                ) from error

    def tenant_of(self, authorization: str | None) -> str:
        """Name of the key in an ``Authorization`` header; empty where no key is needed.

        Raises:
            InvalidApiKey: there is none, or it is not one that holds.
        """
        if not self.required:
            return ""
        if not authorization:
            raise InvalidApiKey("An API key is needed: 'Authorization: Bearer KEY'.")
        scheme, _, key = authorization.partition(" ")
        presented = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        found: str | None = None
        # All of them, whatever is found: the time tells nothing.
        for name, digest in (*self._fixed, *self._current()):
            if hmac.compare_digest(digest, presented):
                found = name
        if found is None or scheme.lower() != "bearer":
            raise InvalidApiKey("The API key is not valid.")
        return found

    def cache_salt(self, tenant: str, within: str = "") -> str | None:
        """What the engine's prefix cache is told apart by; None where there is one tenant only.

        Nobody else can guess it: it hangs on a secret of this process. ``within`` is a salt that
        the tenant chose, which tells its own users apart.
        """
        if not self.required:
            return None
        message = f"{tenant}\0{within}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    def _current(self) -> list[tuple[str, bytes]]:
        if self._file is None:
            return []
        try:
            stamp = _stamp(self._file)
            if stamp != self._stamp:
                self._of_file, self._stamp = list(_entries(self._file, skip_wrong=True)), stamp
                log.info("the file of API keys has changed: it holds %d", len(self._of_file))
        except (OSError, UnicodeError) as error:
            # What can't be read can't vouch for anyone.
            if self._of_file:
                log.error("the file of API keys can't be read: %s", type(error).__name__)
            self._of_file, self._stamp = [], None
        return self._of_file


def _stamp(file: Path) -> _Stamp:
    status = file.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _entries(file: Path, *, skip_wrong: bool) -> Iterator[tuple[str, bytes]]:
    """Names and hashes, one key a line; a name may stand twice while its key is being changed."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            if len(words) != 2:
                raise ConfigurationError("it is not a name and a hash")
            yield _entry(*words)
        except ConfigurationError as error:
            told = f"line {number} of the file of API keys is none: {error.message}"
            if not skip_wrong:
                raise ConfigurationError(told, param="api_keys_file") from error
            log.error(told)


def _entry(name: str, digest: str) -> tuple[str, bytes]:
    checked_name(name)
    if not _HASH.fullmatch(digest):
        raise ConfigurationError(
            f"the key {name!r} has no SHA-256 in hexadecimal: 'reviewer keys create' prints it",
            param="api_keys",
        )
    return name, bytes.fromhex(digest)
