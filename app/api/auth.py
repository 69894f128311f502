"""API keys, and a cache salt for each, so that no client can infer another's prompts from timing.

A key has 256 random bits, so one round of SHA-256 protects it as well as a slow hash.
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
    """A new random key. Its prefix makes it recognisable, for example to secret scanners."""
    return _PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """The key's SHA-256 in hexadecimal, as it appears in the settings."""
    return hashlib.sha256(key.encode()).hexdigest()


def checked_name(name: str) -> str:
    """Check a key's name, which appears in logs and tables.

    Raises:
        ConfigurationError: the name has other characters, or is too long.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} can't be a key's name: use up to 64 letters, digits, dots, '_' and '-'",
            param="api_keys",
        )
    return name


def check_exposure(settings: Settings) -> None:
    """Check that the service is not open to other machines by mistake.

    Raises:
        ConfigurationError: other machines could use it without a key, and ``no_auth`` is not set.
    """
    has_keys = bool(settings.api_keys) or settings.api_keys_file is not None
    if has_keys and settings.no_auth:
        raise ConfigurationError("API keys and --no-auth (no_auth) exclude each other")
    address = settings.published_host or settings.host
    if has_keys or settings.no_auth or _is_loopback(address):
        return
    raise ConfigurationError(
        f"other machines can use the service on {address or 'all addresses'}, and there is no API "
        "key: create one with 'reviewer keys create NAME' for REVIEWER_API_KEYS or "
        "REVIEWER_API_KEYS_FILE, or allow access without keys by --no-auth "
        "(REVIEWER_NO_AUTH=true)",
        param="api_keys",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Keyring:
    """The valid keys. The keys file is read again whenever it has changed."""

    def __init__(self, settings: Settings) -> None:
        """Load the keys.

        Raises:
            ConfigurationError: a key's name or hash is invalid, or the file can't be read.
        """
        self._fixed = [_entry(name, digest) for name, digest in settings.api_keys.items()]
        self._file = settings.api_keys_file
        self._of_file: list[tuple[str, bytes]] = []
        self._stamp: _Stamp | None = None
        self._secret = secrets.token_bytes(32)
        self.required = bool(self._fixed) or self._file is not None
        """Whether requests need a key. It does not change while the service runs."""
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
        """The name of the key in an ``Authorization`` header; empty if no keys are needed.

        Raises:
            InvalidApiKey: the key is missing or not valid.
        """
        if not self.required:
            return ""
        if not authorization:
            raise InvalidApiKey("An API key is required: 'Authorization: Bearer KEY'.")
        scheme, _, key = authorization.partition(" ")
        presented = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        found: str | None = None
        # Compare with all keys, so that the time does not depend on the key.
        for name, digest in (*self._fixed, *self._current()):
            if hmac.compare_digest(digest, presented):
                found = name
        if found is None or scheme.lower() != "bearer":
            raise InvalidApiKey("The API key is not valid.")
        return found

    def cache_salt(self, tenant: str, within: str = "") -> str | None:
        """The salt that separates a tenant's entries in the engine's prefix cache; None if the
        service has no keys.

        It depends on a secret of this process, so clients can't guess it. ``within`` is a salt of
        the tenant's own choice, which separates its users.
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
                log.info("the file of API keys has changed: it has %d keys", len(self._of_file))
        except (OSError, UnicodeError) as error:
            # Without the file its keys are not valid.
            if self._of_file:
                log.error("the file of API keys can't be read: %s", type(error).__name__)
            self._of_file, self._stamp = [], None
        return self._of_file


def _stamp(file: Path) -> _Stamp:
    status = file.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _entries(file: Path, *, skip_wrong: bool) -> Iterator[tuple[str, bytes]]:
    """Names and hashes, one key per line. A name may occur twice while its key is replaced."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            if len(words) != 2:
                raise ConfigurationError("it must be a name and a hash")
            yield _entry(*words)
        except ConfigurationError as error:
            message = f"line {number} of the file of API keys is invalid: {error.message}"
            if not skip_wrong:
                raise ConfigurationError(message, param="api_keys_file") from error
            log.error(message)


def _entry(name: str, digest: str) -> tuple[str, bytes]:
    checked_name(name)
    if not _HASH.fullmatch(digest):
        raise ConfigurationError(
            f"the key {name!r} has no SHA-256 in hexadecimal: 'reviewer keys create' prints it",
            param="api_keys",
        )
    return name, bytes.fromhex(digest)
