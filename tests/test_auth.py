"""API keys: who is let in, how keys come and go, and what one tenant can't learn of another."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.api.auth import Keyring, check_exposure, hash_of, new_key
from app.engine.base import Tokenizer
from app.errors import ConfigurationError, InvalidApiKey
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import ScriptedEngine
from tests.papers import EXAMPLES, paper_pdf
from tests.service import free_port

REVIEWER = Path(sys.executable).with_name("reviewer")
ALICE, BOB = new_key(), new_key()
EVERYWHERE = "0.0.0.0"  # noqa: S104
KEYS = {"alice": hash_of(ALICE), "bob": hash_of(BOB)}
TEXT = {"title": "Counting", "body": "# Introduction\n\nWe count."}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def engine(tokenizer: Tokenizer) -> ScriptedEngine:
    return ScriptedEngine(tokenizer)


@pytest.fixture
def client(serve: Serve, engine: ScriptedEngine) -> httpx.Client:
    return serve(engine, Settings(api_keys=KEYS))


GUARDED = [
    ("POST", "/v1/reviews"),
    ("POST", "/v1/papers"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/models"),
    ("GET", "/metrics"),
    ("GET", "/nowhere"),
    ("GET", "//livez"),
]
NO_KEYS = [
    None,
    f"Bearer {new_key()}",
    f"Bearer {hash_of(ALICE)}",
    ALICE,
    f"Basic {ALICE}",
    "Bearer \xff\xfe",
]


def test_no_key_or_a_wrong_one_is_401(client: httpx.Client) -> None:
    for method, path in GUARDED:
        for key in NO_KEYS:
            headers = [] if key is None else [(b"authorization", key.encode("latin-1"))]
            # The whole address: httpx takes "//livez" alone for a host.
            response = client.request(method, f"{client.base_url}{path}", headers=headers)
            assert response.status_code == 401, (path, key)
            assert response.headers["www-authenticate"] == "Bearer"
            detail = response.json()["error"]
            assert (detail["code"], detail["type"]) == ("invalid_api_key", "invalid_request_error")
            assert detail["request_id"] == response.headers["x-request-id"]


def test_what_needs_no_key(client: httpx.Client) -> None:
    for path in ("/livez", "/readyz", "/version", "/openapi.json", "/docs"):
        assert client.get(path).status_code == 200


def test_with_a_key_everything_answers(client: httpx.Client) -> None:
    for key in (ALICE, BOB):
        assert client.post("/v1/reviews", json=TEXT, headers=bearer(key)).status_code == 200
        assert client.get("/metrics", headers=bearer(key)).status_code == 200


def test_the_body_of_a_stranger_is_not_waited_for(client: httpx.Client) -> None:
    """Forty megabytes are announced and never sent: the answer comes all the same."""
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        connection.sendall(b"POST /v1/reviews HTTP/1.1\r\nHost: x\r\n")
        connection.sendall(b"Content-Length: 40000000\r\n\r\n")
        connection.settimeout(1)
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_each_tenant_has_a_salt_of_its_own(client: httpx.Client, engine: ScriptedEngine) -> None:
    anew = {**TEXT, "reuse": False}
    for key in (ALICE, BOB, ALICE):
        client.post("/v1/reviews", json=anew, headers=bearer(key)).raise_for_status()
    alice, bob, again = (generation.cache_salt for generation in engine.generations)
    assert alice == again
    assert alice
    assert bob
    assert alice != bob
    assert [read.cache_salt for read in engine.label_reads] == [alice, bob, alice]


def test_a_chat_is_salted_whatever_the_client_says(
    client: httpx.Client, engine: ScriptedEngine
) -> None:
    client.post("/v1/reviews", json=TEXT, headers=bearer(ALICE)).raise_for_status()
    salt = engine.generations[0].cache_salt
    for key, own in ((ALICE, None), (BOB, None), (BOB, salt), (BOB, "mine")):
        body: dict[str, object] = {"messages": [], "cache_salt": own}
        client.post("/v1/chat/completions", json=body, headers=bearer(key)).raise_for_status()
    salts = [json.loads(chat)["cache_salt"] for chat in engine.chats]
    assert len(set(salts)) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", got) for got in salts)
    assert salt not in salts
    # A name that stands twice can't be read in two ways: what goes on is written anew.
    twice = b'{"messages": [], "cache_salt": "x", "cache_salt": "%s"}' % str(salt).encode()
    client.post("/v1/chat/completions", content=twice, headers=bearer(BOB)).raise_for_status()
    assert str(salt).encode() not in engine.chats[-1]


def test_a_chat_that_is_no_json_is_not_passed_on(
    client: httpx.Client, engine: ScriptedEngine
) -> None:
    for body, code in ((b"{", "invalid_json"), (b"[]", "invalid_value"), (b"", "invalid_json")):
        response = client.post("/v1/chat/completions", content=body, headers=bearer(ALICE))
        assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    assert not engine.chats


def test_without_keys_nothing_is_salted(serve: Serve, engine: ScriptedEngine) -> None:
    client = serve(engine, Settings())
    client.post("/v1/reviews", json=TEXT).raise_for_status()
    assert engine.generations[0].cache_salt is None
    client.post("/v1/chat/completions", json={"messages": [], "cache_salt": "mine"})
    assert json.loads(engine.chats[0])["cache_salt"] == "mine"


def test_keys_come_and_go_without_a_restart(
    serve: Serve, engine: ScriptedEngine, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\nalice {hash_of(ALICE)}  # the first\n")
    client = serve(engine, Settings(api_keys_file=file))

    def let_in(key: str) -> bool:
        return client.get("/v1/models", headers=bearer(key)).status_code == 200

    assert (let_in(ALICE), let_in(BOB)) == (True, False)
    file.write_text(f"alice {hash_of(ALICE)}\nbob {hash_of(BOB)}\n")
    assert (let_in(ALICE), let_in(BOB)) == (True, True)
    file.write_text(f"alice nonsense\nbob {hash_of(BOB)}\nmany words in here\n")
    assert (let_in(ALICE), let_in(BOB)) == (False, True)
    file.unlink()
    assert (let_in(ALICE), let_in(BOB)) == (False, False)
    file.write_text("")
    assert (let_in("x"), let_in(BOB)) == (False, False)
    file.write_text(f"alice {hash_of(ALICE)}\nalice {hash_of(BOB)}\n")
    assert (let_in(ALICE), let_in(BOB)) == (True, True)


def test_a_key_belongs_to_the_name_beside_it() -> None:
    keyring = Keyring(Settings(api_keys=KEYS))
    assert keyring.tenant_of(f"bearer  {BOB}") == "bob"
    with pytest.raises(InvalidApiKey):
        keyring.tenant_of(f"Bearer {hash_of(BOB)}")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"alice": ALICE}, "no SHA-256"),
        ({"": hash_of(ALICE)}, "can.t be a key"),
        ({"a b": hash_of(ALICE)}, "can.t be a key"),
        ({"../x": hash_of(ALICE)}, "can.t be a key"),
    ],
)
def test_keys_that_are_none(keys: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as refused:
        Keyring(Settings(api_keys=keys))
    assert ALICE not in refused.value.message


def test_a_file_of_keys_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        Keyring(Settings(api_keys_file=tmp_path / "nowhere"))
    wrong = tmp_path / "keys"
    wrong.write_text(f"alice {hash_of(ALICE)}\nbob {BOB}\n")
    with pytest.raises(ConfigurationError, match="line 2"):
        Keyring(Settings(api_keys_file=wrong))


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "::1"}, False),
        ({"host": "127.8.8.8"}, False),
        ({"host": EVERYWHERE}, True),
        ({"host": "::"}, True),
        ({"host": ""}, True),
        ({"host": "reviewer.example.org"}, True),
        ({"host": EVERYWHERE, "no_auth": True}, False),
        ({"host": EVERYWHERE, "api_keys": KEYS}, False),
        ({"host": EVERYWHERE, "api_keys_file": "/etc/keys"}, False),
        ({"host": EVERYWHERE, "published_host": "127.0.0.1"}, False),
        ({"host": EVERYWHERE, "published_host": EVERYWHERE}, True),
        ({"host": "127.0.0.1", "published_host": "192.0.2.1"}, True),
        ({"api_keys": KEYS, "no_auth": True}, True),
    ],
)
def test_other_machines_need_a_key(settings: dict[str, object], refused: bool) -> None:
    if refused:
        with pytest.raises(ConfigurationError, match="--no-auth"):
            check_exposure(Settings(**settings))  # type: ignore[arg-type]
    else:
        check_exposure(Settings(**settings))  # type: ignore[arg-type]


def test_the_command_refuses_to_listen_without_a_key() -> None:
    done = subprocess.run(
        [REVIEWER, "serve", "--host", EVERYWHERE, "--port", str(free_port())],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "400"},
    )
    assert done.returncode == 2
    assert "reviewer keys create NAME" in done.stderr


def test_the_command_makes_a_key_that_holds() -> None:
    done = subprocess.run(
        [REVIEWER, "keys", "create", "alice"], capture_output=True, text=True, check=True
    )
    key = done.stdout.splitlines()[0]
    found = re.search(r"REVIEWER_API_KEYS='(.*)'", done.stdout)
    assert found
    keyring = Keyring(Settings(api_keys=json.loads(found[1])))
    assert keyring.tenant_of(f"Bearer {key}") == "alice"
    assert f"alice {hash_of(key)}\n" in done.stdout
    assert done.stdout.count(key) == 1


def test_browsers_of_other_origins_are_kept_out_unless_told(
    serve: Serve, tokenizer: Tokenizer
) -> None:
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    closed = serve(ScriptedEngine(tokenizer), Settings())
    assert "access-control-allow-origin" not in closed.options("/v1/reviews", headers=asked).headers
    settings = Settings(api_keys=KEYS, cors_origins=["https://a.example"])
    opened = serve(ScriptedEngine(tokenizer), settings)
    preflight = opened.options("/v1/reviews", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://a.example"
    refused = opened.get("/v1/models", headers={"Origin": "https://a.example"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://a.example"
    other = opened.options("/v1/reviews", headers={**asked, "Origin": "https://b.example"})
    assert "access-control-allow-origin" not in other.headers


def test_a_pdf_with_a_key(client: httpx.Client) -> None:
    files = {"file": ("p.pdf", paper_pdf())}
    assert client.post("/v1/papers", files=files, headers=bearer(BOB)).status_code == 200


def test_the_command_shows_its_key(client: httpx.Client) -> None:
    def review(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [REVIEWER, "review", EXAMPLES / "paper.pdf", "--json", "--url", str(client.base_url)],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, **environment},
        )

    done = review(REVIEWER_API_KEY=ALICE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "completed"
    refused = review()
    assert refused.returncode == 2
    assert "(invalid_api_key)" in refused.stderr
