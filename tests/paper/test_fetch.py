"""Papers fetched by their address: a real server behind TLS, and doubles for the name service."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.errors import FetchFailed, FetchTimeout, NotAPdf, UploadTooLarge, UrlNotAllowed
from app.paper.fetch import Address, Fetcher, is_public
from app.settings import Settings

pytestmark = pytest.mark.anyio

HOSTS = ("arxiv.org", "openreview.net", "papers.example")
PDF = b"%PDF-1.7\n" + b"x" * 2_000
SETTINGS = Settings(fetch_hosts=",".join(HOSTS), fetch_timeout_s=2, max_upload_mb=0.1)


class Handler(BaseHTTPRequestHandler):
    """Answers by path; remembers what was asked for."""

    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        type(self).asked.append((self.headers["Host"], self.path))
        path, _, argument = self.path.partition("?to=")
        if path == "/redirect":
            self.reply(302, location=argument)
        elif path == "/circle":
            self.reply(301, location="/circle")
        elif path == "/slow":
            self.drip()
        elif path == "/large":
            self.reply(200, b"%PDF-" + bytes(200_000), sized=argument != "unsized")
        elif path == "/packed":
            self.reply(200, gzip.compress(b"%PDF-" + bytes(10**7)), encoding="gzip")
        elif path in ("/404", "/500"):
            self.reply(int(path[1:]), b"no")
        elif path == "/html":
            self.reply(200, b"<html>" + b" " * 2_000)
        else:
            self.reply(200, PDF)

    def reply(
        self,
        status: int,
        body: bytes = b"",
        *,
        location: str = "",
        encoding: str = "",
        sized: bool = True,
    ) -> None:
        self.send_response(status)
        if sized:
            self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()
        self.wfile.write(body)

    def drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(b"%PDF-")
            self.wfile.flush()
            time.sleep(0.1)

    def log_message(self, *_: object) -> None:
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""


def certificate(folder: Path) -> Path:
    """Key and certificate for the hosts, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file


@contextlib.contextmanager
def running(tls: ssl.SSLContext | None) -> Iterator[int]:
    """The port of a server on loopback."""
    with Server(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def port(authority: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    with running(context) as port:
        yield port


class Local:
    """Fetches from the local server, which is every host unless told otherwise."""

    def __init__(self, port: int, authority: Path) -> None:
        self.port = port
        self._authority = authority

    async def fetch(
        self,
        url: str,
        settings: Settings = SETTINGS,
        addresses: Sequence[Sequence[Address]] = (),
        allow: Callable[[str], bool] = "127.0.0.1".__eq__,
    ) -> bytes:
        """``addresses`` are what the first look-ups answer."""
        answers = iter(addresses)

        async def resolve(_: str) -> Sequence[Address]:
            return next(answers, [("127.0.0.1", self.port)])

        tls = ssl.create_default_context(cafile=str(self._authority))
        fetcher = Fetcher(settings, resolve=resolve, is_allowed_address=allow, tls=tls)
        try:
            return await fetcher.fetch(url)
        finally:
            await fetcher.aclose()


@pytest.fixture
def local(port: int, authority: Path) -> Local:
    Handler.asked = []
    return Local(port, authority)


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("2301.12345", "arxiv.org", "/pdf/2301.12345"),
        (" arXiv:2301.12345v2 ", "arxiv.org", "/pdf/2301.12345v2"),
        ("hep-th/9901001", "arxiv.org", "/pdf/hep-th/9901001"),
        ("https://arxiv.org/abs/2301.12345", "arxiv.org", "/pdf/2301.12345"),
        ("https://ARXIV.org/html/2301.12345v1", "arxiv.org", "/pdf/2301.12345v1"),
        ("https://arxiv.org:443/pdf/2301.12345#page=2", "arxiv.org", "/pdf/2301.12345"),
        ("https://arxiv.org/e-print/2301.12345", "arxiv.org", "/e-print/2301.12345"),
        ("https://openreview.net/forum?id=aB1", "openreview.net", "/pdf?id=aB1"),
        ("https://openreview.net/pdf?id=aB1", "openreview.net", "/pdf?id=aB1"),
    ],
)
async def test_addresses_and_ids(local: Local, url: str, host: str, path: str) -> None:
    assert await local.fetch(url) == PDF
    assert Handler.asked == [(host, path)]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no address",
        "http://arxiv.org/pdf/1",
        "ftp://arxiv.org/pdf/1",
        "file:///etc/passwd",
        "//arxiv.org/pdf/1",
        "https:arxiv.org/pdf/1",
        "https:///pdf/1",
        "https://user:secret@arxiv.org/pdf/1",
        "https://user@arxiv.org/pdf/1",
        "https://arxiv.org:8443/pdf/1",
        "https://arxiv.org:0/pdf/1",
        "https://other.example/pdf/1",
        "https://sub.arxiv.org/pdf/1",
        "https://arxiv.org./pdf/1",
        "https://arxiv.org.other.example/pdf/1",
        "https://arxiv.org@other.example/pdf/1",
        "https://arxiv.org%2eother.example/pdf/1",
        "https://arxiv.org\\@other.example/pdf/1",
        "https://аrxiv.org/pdf/1",
        "https://arxiv。org.example/pdf/1",
        "https://127.0.0.1/pdf/1",
        "https://[::1]/pdf/1",
        "https://2130706433/pdf/1",
        "https://0x7f.1/pdf/1",
        "https://arxiv.org\n.other.example/",
        "https://\ud800/",
    ],
)
async def test_other_addresses_are_refused(local: Local, url: str) -> None:
    with pytest.raises(UrlNotAllowed) as refused:
        await local.fetch(url)
    assert (refused.value.status, refused.value.code) == (400, "url_not_allowed")
    assert not Handler.asked


async def test_no_hosts_no_fetching(local: Local) -> None:
    with pytest.raises(UrlNotAllowed, match="fetches no papers"):
        await local.fetch("2301.12345", Settings(fetch_hosts=""))


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "0.0.0.1", "169.254.169.254",
        "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "::", "::1",
        "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8",
        "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:a00:1::", "2001:0:a00:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["151.101.3.42", "8.8.8.8", "2a04:4e42::81", "2606:4700::1111"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "addresses", [[], [("127.0.0.1", 443)], [("8.8.8.8", 443), ("10.0.0.1", 443)]]
)
async def test_hosts_that_are_not_public_are_refused(
    local: Local, addresses: Sequence[Address]
) -> None:
    with pytest.raises(UrlNotAllowed, match="not public"):
        await local.fetch("2301.12345", addresses=[addresses], allow=is_public)
    assert not Handler.asked


async def test_a_name_that_changes_its_address_is_looked_up_once(local: Local) -> None:
    there = [("127.0.0.1", local.port)]
    assert await local.fetch("2301.12345", addresses=[there, [("10.0.0.1", 443)]]) == PDF
    with pytest.raises(UrlNotAllowed, match="not public"):
        await local.fetch(
            "https://arxiv.org/redirect?to=/pdf/1", addresses=[there, [("10.0.0.1", 443)]]
        )


async def test_the_next_address_where_one_is_dead(local: Local) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        dead = ("127.0.0.1", bound.getsockname()[1])
        both = [dead, ("127.0.0.1", local.port)]
        assert await local.fetch("2301.12345", addresses=[both]) == PDF
        with pytest.raises(FetchFailed):
            await local.fetch("2301.12345", addresses=[[dead]])


async def test_redirects(local: Local) -> None:
    url = "https://arxiv.org/redirect?to=https://openreview.net/redirect?to=/pdf/1"
    assert await local.fetch(url) == PDF
    assert [host for host, _ in Handler.asked] == ["arxiv.org", "openreview.net", "openreview.net"]


@pytest.mark.parametrize(
    "to",
    [
        "http://arxiv.org/pdf/1",
        "https://other.example/",
        "//127.0.0.1/",
        "https://arxiv.org:444/",
        "https://a:b@arxiv.org/",
        "file:///etc/passwd",
    ],
)
async def test_redirects_elsewhere_are_refused(local: Local, to: str) -> None:
    with pytest.raises(UrlNotAllowed):
        await local.fetch(f"https://arxiv.org/redirect?to={to}")
    assert len(Handler.asked) == 1


async def test_redirects_in_a_circle(local: Local) -> None:
    with pytest.raises(FetchFailed, match="redirects"):
        await local.fetch("https://papers.example/circle")
    assert len(Handler.asked) == 6


@pytest.mark.parametrize("url", ["large", "large?to=unsized"])
async def test_what_is_too_large_is_refused(local: Local, url: str) -> None:
    with pytest.raises(UploadTooLarge) as refused:
        await local.fetch(f"https://papers.example/{url}")
    assert refused.value.status == 413


async def test_packed_answers_stay_packed(local: Local) -> None:
    body = await local.fetch("https://papers.example/packed")
    assert body.startswith(b"\x1f\x8b")
    assert len(body) < 100_000


async def test_a_slow_host_is_given_up(local: Local) -> None:
    with pytest.raises(FetchTimeout) as refused:
        await local.fetch("https://papers.example/slow")
    assert (refused.value.status, refused.value.code) == (504, "fetch_timeout")


@pytest.mark.parametrize("status", ["404", "500"])
async def test_errors_of_the_host(local: Local, status: str) -> None:
    with pytest.raises(FetchFailed, match=status) as refused:
        await local.fetch(f"https://papers.example/{status}")
    assert (refused.value.status, refused.value.code) == (502, "fetch_failed")


async def test_what_is_no_paper(local: Local) -> None:
    with pytest.raises(NotAPdf):
        await local.fetch("https://papers.example/html")


async def test_a_certificate_of_another_host(local: Local) -> None:
    settings = Settings(fetch_hosts="unsigned.example", fetch_timeout_s=2)
    with pytest.raises(FetchFailed):
        await local.fetch("https://unsigned.example/pdf/1", settings)
    assert not Handler.asked


async def test_a_host_without_tls(local: Local) -> None:
    with running(None) as port, pytest.raises(FetchFailed):
        await local.fetch("2301.12345", addresses=[[("127.0.0.1", port)]])
    assert not Handler.asked


async def test_proxies_of_the_environment_are_not_used(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert await local.fetch("2301.12345") == PDF
