"""Fetches papers by URL, only from hosts that the settings allow."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import httpx

from app import __version__
from app.errors import (
    FetchFailed,
    FetchRefused,
    FetchTimeout,
    NotAPdf,
    UploadTooLarge,
    UrlNotAllowed,
)
from app.paper.latex.archive import is_archive
from app.settings import Settings

Address = tuple[str, int]
"""A numeric IP address and a port."""
Resolve = Callable[[str], Awaitable[Sequence[Address]]]

_MOST_REDIRECTS = 5
_PASSING = (408, 425, 429)
"""Client errors of a host that may pass, and don't concern the paper."""
_CONNECT_S = 5.0
"""Seconds after which the next of a host's addresses is tried."""
_PDF_WITHIN = 1024
_ARXIV_ID = re.compile(
    r"(?:arxiv:)?(\d{4}\.\d{4,5}(?:v\d+)?|[a-z-]+(?:\.[A-Z]{2})?/\d{7}(?:v\d+)?)",
    re.IGNORECASE | re.ASCII,
)
_ARXIV_PAGE = re.compile(r"/(?:abs|html)/(.+)")
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
_TUNNELS = (ipaddress.ip_network("2002::/16"), ipaddress.ip_network("2001::/32"))
"""6to4 and Teredo: these addresses contain an IPv4 address, which may be a private one."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, and is not mapped to another one."""
    ip = ipaddress.ip_address(address)
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return True
    # Other IPv6 addresses include IPv4-mapped ones and NAT64.
    return ip in _GLOBAL_IPV6 and not any(ip in tunnel for tunnel in _TUNNELS)


async def resolve_host(host: str) -> Sequence[Address]:
    """The addresses of a host's HTTPS server."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [(str(address[0]), 443) for *_, address in found]


class Fetcher:
    """Fetches PDFs and e-prints over HTTPS.

    A host's addresses are resolved once per redirect, all are checked, and the connection is made
    to one that was checked, which prevents DNS rebinding. Proxies in the environment are not used,
    because they would resolve the names again.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        resolve: Resolve = resolve_host,
        is_allowed_address: Callable[[str], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = frozenset(
            host.strip().lower() for host in settings.fetch_hosts.split(",") if host.strip()
        )
        self._timeout_s = settings.fetch_timeout_s
        self._max_bytes = int(settings.max_upload_mb * 1e6)
        self._resolve = resolve
        self._is_allowed_address = is_allowed_address
        self._client = httpx.AsyncClient(
            verify=tls or True,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(self._timeout_s, connect=min(_CONNECT_S, self._timeout_s)),
            # httpx would reuse a connection for another host name with the same address.
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={
                "Accept": "application/pdf, application/gzip;q=0.9, */*;q=0.1",
                "Accept-Encoding": "identity",
                "User-Agent": f"scientific-reviewer/{__version__}",
            },
        )

    async def fetch(self, url: str) -> bytes:
        """The PDF or archive of an https URL, an arXiv id, or an abstract page's URL.

        Raises:
            UrlNotAllowed: the URL, or one that it redirects to, is not allowed.
            UploadTooLarge: the file is larger than ``max_upload_mb``.
            FetchTimeout: fetching took longer than ``fetch_timeout_s``.
            FetchFailed: the host can't be reached, or has an error.
            FetchRefused: the host does not have the paper, or refuses access.
            NotAPdf: the answer is neither a PDF nor an archive.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(self._checked(_address_of(url)))
        except (TimeoutError, httpx.TimeoutException) as error:
            raise FetchTimeout(
                f"The paper did not arrive within {self._timeout_s:g} s.", param="url"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise FetchFailed(
                f"The paper could not be fetched: {type(error).__name__}.", param="url"
            ) from error

    async def aclose(self) -> None:
        await self._client.aclose()

    def _checked(self, url: str | httpx.URL) -> httpx.URL:
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise UrlNotAllowed("This is not a URL.", param="url") from error
        if not self._hosts:
            raise UrlNotAllowed("This service fetches no papers: send the file.", param="url")
        if parsed.scheme != "https" or parsed.port is not None or parsed.userinfo:
            raise UrlNotAllowed(
                "Only https URLs without a user name and a port are allowed.",
                param="url",
            )
        host = parsed.raw_host.decode("ascii", "replace").lower()
        if host not in self._hosts:
            raise UrlNotAllowed(
                f"Papers are fetched from {', '.join(sorted(self._hosts))} only.", param="url"
            )
        return parsed

    async def _follow(self, url: httpx.URL) -> bytes:
        for _ in range(_MOST_REDIRECTS + 1):
            async with AsyncExitStack() as stack:
                response = await self._get(url)
                stack.push_async_callback(response.aclose)
                if not response.has_redirect_location:
                    return await self._body(response)
                url = self._checked(url.join(response.headers["location"]))
        raise FetchFailed(f"The host redirects more than {_MOST_REDIRECTS} times.", param="url")

    async def _get(self, url: httpx.URL) -> httpx.Response:
        """The response, with its body unread, from the host's first address that can be reached."""
        host = url.raw_host.decode("ascii")
        addresses = await self._resolve(host)
        if not addresses or not all(self._is_allowed_address(ip) for ip, _ in addresses):
            raise UrlNotAllowed("The host has an address that is not public.", param="url")
        for ip, port in dict.fromkeys(addresses):
            request = self._client.build_request(
                "GET",
                url.copy_with(host=ip, port=port, fragment=None),
                headers={"Host": host},
                extensions={"sni_hostname": host},
            )
            try:
                return await self._client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                refused = error
        raise refused

    async def _body(self, response: httpx.Response) -> bytes:
        if response.status_code != httpx.codes.OK:
            gone = response.is_client_error and response.status_code not in _PASSING
            kind = FetchRefused if gone else FetchFailed
            raise kind(f"The host answered {response.status_code}.", param="url")
        declared = response.headers.get("content-length", "")
        self._check_size(int(declared) if declared.isdecimal() else 0)
        data = bytearray()
        # Raw bytes, so that nothing is decompressed beyond the limit.
        async for chunk in response.aiter_raw():
            data += chunk
            self._check_size(len(data))
        body = bytes(data)
        if b"%PDF-" not in body[:_PDF_WITHIN] and not is_archive(body):
            raise NotAPdf("The URL leads to neither a PDF nor an archive.", param="url")
        return body

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise UploadTooLarge(
                f"The paper is larger than the limit of {self._max_bytes / 1e6:g} MB.", param="url"
            )


def _address_of(text: str) -> str | httpx.URL:
    """The URL of the PDF for an arXiv id, or for the URL of a paper's abstract page."""
    text = text.strip()
    by_id = _ARXIV_ID.fullmatch(text)
    if by_id:
        return f"https://arxiv.org/pdf/{by_id[1]}"
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError):
        return text
    page = _ARXIV_PAGE.fullmatch(url.path)
    if url.host in ("arxiv.org", "export.arxiv.org") and page:
        return url.copy_with(path=f"/pdf/{page[1]}", query=None)
    if url.host == "openreview.net" and url.path == "/forum":
        return url.copy_with(path="/pdf")
    return url
