"""``reviewer models pull``, and a service whose model the hub does not give."""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.engine.start_failures import REASONS
from tests.engine.hub import REPOSITORY, Hub, hub
from tests.service import Service, end_of


def weights(size: int) -> bytes:
    """A safetensors file of one tensor."""
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * size


FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": weights(5_000_000),
    "adapter_model.safetensors": weights(10),
    "benchmark/results.json": b"{}",
}


@pytest.fixture
def repository() -> Iterator[Hub]:
    with hub(FILES) as running:
        yield running


def environment(repository: Hub, cache: Path, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    return {**inherited, "HF_ENDPOINT": repository.url, "HF_HOME": str(cache), **more}


def pull(
    repository: Hub, cache: Path, largest_file: int | None = None, **more: str
) -> tuple[int, str]:
    """Exit status and all that is printed."""

    def limit() -> None:
        if largest_file:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    done = subprocess.run(
        [Path(sys.executable).with_name("reviewer"), "models", "pull", REPOSITORY],
        env=environment(repository, cache, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limit,  # no threads here
    )
    return done.returncode, done.stdout


def test_a_model_is_pulled_without_what_is_not_loaded(repository: Hub, tmp_path: Path) -> None:
    status, printed = pull(repository, tmp_path)
    assert status == 0, printed
    folder = Path(printed.split()[-1])
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "tokenizer.json", "model.safetensors"),
    }
    # Nothing is fetched twice, and a second time does without the hub.
    repository.sent.clear()
    assert pull(repository, tmp_path)[0] == 0
    assert pull(repository, tmp_path, HF_HUB_OFFLINE="1")[0] == 0
    assert repository.sent == []
    # But for weights that have been damaged since.
    (folder / "model.safetensors").resolve().write_bytes(FILES["model.safetensors"][:1_000_000])
    status, printed = pull(repository, tmp_path)
    assert status == 0, printed
    assert "cut short" in printed
    assert "model.safetensors" in repository.sent
    assert (folder / "model.safetensors").stat().st_size == len(FILES["model.safetensors"])


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ((404, "RepoNotFound"), "model_not_found"),
        ((401, "RepoNotFound"), "model_not_found"),
        ((401, ""), "hub_token_refused"),
        ((403, "GatedRepo"), "model_gated"),
        ((503, ""), "hub_unreachable"),
    ],
)
def test_what_the_hub_refuses(
    repository: Hub, tmp_path: Path, refusal: tuple[int, str], code: str
) -> None:
    repository.refusal = refusal
    status, printed = pull(repository, tmp_path)
    assert status == 2
    assert printed.rstrip().endswith(f"({code})"), printed
    assert next(reason.remedy for reason in REASONS if reason.code == code) in printed


def test_what_else_keeps_a_model_from_being_pulled(repository: Hub, tmp_path: Path) -> None:
    def refused(code: str, **more: str) -> str:
        status, printed = pull(repository, tmp_path / code, None, **more)
        assert status == 2, printed
        assert printed.rstrip().endswith(f"({code})"), printed
        return printed

    assert "Connection refused" in refused("hub_unreachable", HF_ENDPOINT="http://127.0.0.1:9")
    refused("model_not_on_disk", HF_HUB_OFFLINE="1")
    repository.sizes["model.safetensors"] = 10**15
    assert "the download needs 1000000.0 GB" in refused("disk_full")
    repository.sizes.clear()
    status, printed = pull(repository, tmp_path / "full", largest_file=1_000_000)
    assert status == 2
    assert "File too large" in printed
    assert "(disk_full)" in printed


def test_a_service_whose_model_can_never_be_had_ends_and_says_why(
    repository: Hub, tmp_path: Path
) -> None:
    repository.refusal = (403, "GatedRepo")
    service = Service(
        tmp_path / "log",
        **environment(repository, tmp_path / "cache", HF_HUB_OFFLINE="0"),
        REVIEWER_MODEL=REPOSITORY,
    )
    assert end_of(service) == 4
    last = service.log.read_text().splitlines()[-1]
    assert last.startswith("reviewer: 403 Client Error. Cannot access gated repo for url")
    assert last.endswith("set HF_TOKEN to a token of that account. (model_gated)")


def test_a_service_whose_model_may_come_says_why_and_goes_on(
    repository: Hub, tmp_path: Path
) -> None:
    """A hub that is away; then it is back, but what it has can't be loaded."""
    repository.refusal = (503, "")
    service = Service(
        tmp_path / "log",
        **environment(repository, tmp_path / "cache", HF_HUB_OFFLINE="0"),
        REVIEWER_MODEL=REPOSITORY,
        REVIEWER_SHUTDOWN_DELAY_S="0",
    )
    with httpx.Client(base_url=service.url) as client:
        service.wait("/readyz", 503)
        while (error := client.get("/readyz").json()["error"])["code"] == "engine_unavailable":
            time.sleep(0.05)
        assert error["code"] == "hub_unreachable"
        assert "503 Service Unavailable" in error["message"]
        assert "HTTPS_PROXY" in error["message"]
        # Others learn that it is so, and not from whom.
        asked = client.post("/v1/reviews", json={"title": "T", "body": "B"})
        assert asked.status_code == 503
        assert asked.json()["error"]["code"] == "engine_unavailable"
        assert "hub_unreachable" in asked.json()["error"]["message"]
        assert repository.url not in asked.text
    repository.files["model.safetensors"] = b"version https://git-lfs.github.com/spec/v1"
    repository.refusal = None
    assert end_of(service) == 4
    log = service.log.read_text()
    assert "(weights_damaged)" in log.splitlines()[-1]
    assert "trying again in 1 s" in log
