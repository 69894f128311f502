"""Every setting of the service. Each is an environment variable ``REVIEWER_<NAME>``."""

from __future__ import annotations

import difflib
import math
import os
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path, user_data_path
from pydantic import Field, HttpUrl, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import ConfigurationError

PREFIX = "REVIEWER_"
API_KEY = PREFIX + "API_KEY"
"""What a command shows to a running service; no setting of the service itself."""


class Settings(BaseSettings):
    """Read from the environment by :func:`load_settings`, then passed; never global."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    host: str = "127.0.0.1"
    """Address to listen on. Beyond loopback the service starts with API keys only, or with
    `no_auth`."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    published_host: str | None = None
    """The address that clients reach the service by where that is not `host`: in a container, the
    one that its port is published on. It decides whether keys are needed."""
    shutdown_delay_s: float = Field(1, ge=0)
    """After SIGTERM, how long the service is not ready but still answers everything, for load
    balancers to notice, in seconds. Ctrl-C does not wait."""
    shutdown_grace_s: int = Field(30, ge=0)
    """Then, how long running requests may take to finish before they are aborted, and background
    reviews before they go back to the queue, in seconds."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much the service logs. vLLM's own log follows `VLLM_LOGGING_LEVEL` (`ERROR`)."""
    log_format: Literal["json", "console"] | None = None
    """`json`: one object a line; `console`: for a person. By default what standard error is: a
    terminal, or not."""

    api_keys: dict[str, str] = {}
    """Names of API keys and the SHA-256 of each, as a JSON object. `reviewer keys create NAME`
    makes one."""
    api_keys_file: Path | None = None
    """More of them, a name and a hash a line; `#` begins a comment. It is read again when it
    changes: keys are added and revoked without a restart."""
    no_auth: bool = False
    """Serve other machines without any key."""
    rate_limit_rpm: int | None = Field(None, ge=1)
    """Requests under `/v1` that each key may make a minute; one more gets a 429."""
    rate_limit_burst: int | None = Field(None, ge=1)
    """How many of these may come at once; by default all of a minute's."""
    max_reviews_per_key: int | None = Field(None, ge=1)
    """Reviews, papers and chats of one key at the same time; one more gets a 429, and background
    reviews wait until their key has fewer at work."""
    max_reviews: int = Field(64, ge=1)
    """Reviews, papers and chats in all at the same time, running and waiting; one more gets a 503
    before its body is read. A place is taken once the body is there, and may hold `max_upload_mb`
    in memory."""
    max_queued_reviews: int = Field(10_000, ge=1)
    """Background reviews that wait; one more gets a 503. Each keeps its paper in `data_dir`."""
    cors_origins: list[str] = []
    """Origins whose pages may call the service from a browser, as a JSON list; `["*"]` for all."""

    engine: Literal["vllm", "upstream"] = "vllm"
    """`vllm` runs the model in this service; `upstream` sends its requests to another
    OpenAI-compatible server."""
    model: str = "auto"
    """An alias (`reviewer models` lists them), a local folder, or a hub id. `auto` is
    `gemma-reviewer` where vLLM is built for a GPU and `smollm2` where it is built for a CPU; with
    an upstream, the first model that it lists."""
    cache_dir: Path = user_cache_path("scientific-reviewer")
    """Where models converted for this service are kept. Hub downloads go to `HF_HOME`."""

    upstream_url: HttpUrl | None = None
    """Base URL of the upstream, up to and including its `/v1`."""
    upstream_api_key: SecretStr | None = None
    """Sent to the upstream as a bearer token."""
    upstream_tokenizer: str | None = None
    """Where the upstream model's tokenizer comes from (alias, folder or hub id), to count prompts
    with; by default the upstream model's own name."""

    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Number format of weights and activations; the published model's is `bfloat16`."""
    max_model_len: int = Field(12288, ge=1024)
    """Context of the model in tokens, prompt and review together; the model's own, if smaller."""
    gpu_memory_utilization: float = Field(0.88, gt=0, le=1)
    """Share of the GPU's memory for weights and KV cache."""
    cpu_kv_cache_gib: float = Field(2.0, gt=0)
    """KV cache on a CPU, in GiB."""
    max_num_seqs: int = Field(16, ge=1)
    """Sequences generated at the same time."""
    max_queued_requests: int = Field(256, ge=1)
    """Requests in the engine, running and waiting together; one more gets a 503."""
    engine_hang_s: float = Field(120, gt=0)
    """The engine runs a step (of a prompt's reading, or a token for each sequence) and looks at its
    requests, again and again. One that does not come to the latter for so many seconds hangs: it is
    ended and started again. A large model on a CPU may need longer for a step."""
    enable_prefix_caching: bool = True
    """Keep the KV cache of earlier prompts. The verdict's probability is read from it."""
    enforce_eager: bool | None = None
    """Skip compilation at start. By default true on a CPU, where it saves over a minute, and false
    on a GPU."""
    vllm_args: str = ""
    """More of vLLM's own arguments, as on its command line: `--attention-backend TRITON_ATTN`. One
    that the service sets itself, most of them by a setting, is refused."""

    review_format: Literal["structured", "free"] = "structured"
    """Default of a review's `format`: `structured` holds the model to the template's sections and
    verdict line; `free` lets it write as published (and is what an upstream without structural tags
    does in any case)."""
    templates_dir: Path | None = None
    """A folder of review templates beside the package's own, each a folder with `system.txt`,
    `user.txt` and `sections.toml`. One that breaks the contract ends the start."""
    calibration: Path | None = None
    """The JSON file that training's calibrate stage writes: it maps the model's probability to the
    measured one. Applied where model and template are those that it was fitted to."""
    abstain_low: float | None = Field(None, ge=0, le=1)
    """Together with `abstain_high`: a review whose probability lies between the two, or on one of
    them, has the decision `undecided`."""
    abstain_high: float | None = Field(None, ge=0, le=1)
    """See `abstain_low`."""
    prompt_tokens: int | None = Field(None, ge=512)
    """Upper limit of a prompt in tokens, chat template included. By default what `max_model_len`
    leaves beside the review; 4096 for `smollm2`, to answer within a minute on two cores."""
    max_tokens: int | None = Field(None, ge=1)
    """Default of a review's `max_tokens`: 1400 as published; 512 for `smollm2`."""
    temperature: float = Field(0.2, ge=0, le=2)
    """Default of a review's `temperature`."""
    top_p: float = Field(0.9, gt=0, le=1)
    """Default of a review's `top_p`."""
    top_k: int | None = Field(None, ge=0)
    """Default of a review's `top_k`; 0 for no limit. By default what the model's
    `generation_config.json` says, 64 for Gemma; where that says nothing, no limit, or what an
    upstream takes for one."""

    data_dir: Path = user_data_path("scientific-reviewer")
    """Where papers are kept, and the database unless `database_url` names one. Processes that share
    a database share this folder."""
    database_url: SecretStr | None = None
    """`postgresql://user:password@host/name`, for several processes or machines. By default SQLite
    in `data_dir`."""
    retention: str = Field("forever", pattern=r"^(none|forever|days:[1-9]\d{0,4})$")
    """How long reviews and papers are kept: `forever`, `days:30`, or `none`, which keeps neither
    once the answer is given. What is older is removed, also what another setting has let in."""
    background_reviews: int = Field(8, ge=0)
    """Background reviews that this process works on at the same time. With 0 it only takes them on,
    for others that share its database."""
    lease_s: float = Field(30, ge=1)
    """Seconds without a sign of life from a process that works on reviews, after which it counts as
    dead and its reviews are begun again. The same for all processes that share a database."""
    max_attempts: int = Field(5, ge=1)
    """Failed attempts at a background review after which it has failed for good. An attempt counts
    where its failure may be the review's own fault: see `docs/jobs.md`."""
    max_connections: int = Field(512, ge=1)
    """Connections at the same time. One more ends the one that has waited longest without sending a
    request's head."""
    head_timeout_s: float = Field(10, gt=0)
    """Longest from the beginning of a connection, or its last answer, to the end of a request's
    head, in seconds."""
    write_timeout_s: float = Field(30, gt=0)
    """A client that takes nothing of its answer for so many seconds is cut off."""
    max_upload_mb: float = Field(50, gt=0)
    """Largest file, and largest form with one, in megabytes (10^6 bytes). A chat may hold a file of
    this size in base64, and `max_json_mb` around it."""
    max_json_mb: float = Field(16, gt=0)
    """Largest JSON body, the file in a chat not counted, in megabytes. A paper's two million
    characters fit, however they are escaped."""
    max_arriving_mb: float = Field(256, gt=0)
    """What may be there of all bodies that are still arriving, in megabytes; what goes beyond gets
    a 503. At least one of the largest fits."""
    min_body_kb_s: float = Field(16, ge=0)
    """A body that comes slower than this, in kB/s (10^3 bytes), gets a 408."""
    body_window_s: float = Field(10, gt=0)
    """The seconds of waiting for it over which that is measured."""
    max_pages: int = Field(200, ge=1)
    """Most pages of a PDF."""
    extract_workers: int = Field(2, ge=1)
    """Processes that read PDFs."""
    extract_timeout_s: float = Field(60, gt=0)
    """Longest that one PDF may take to read, in seconds; then its process is killed."""
    extract_cpu_s: int = Field(60, ge=1)
    """Most CPU time that one PDF may take to read, in seconds."""
    extract_memory_mb: int = Field(2048, ge=256)
    """Address space of one PDF-reading process, in megabytes (2^20 bytes)."""
    extract_documents_per_worker: int = Field(100, ge=1)
    """PDFs that one process reads before a fresh one takes its place. With 1, no PDF that took its
    process over can touch another."""

    ocr: Literal["auto", "off"] = "auto"
    """Read scans by optical character recognition where Tesseract's English data is installed: some
    seconds a page, within the limits above. `off` refuses them."""

    fetch_hosts: str = (
        "arxiv.org,export.arxiv.org,openreview.net,aclanthology.org,proceedings.mlr.press,"
        "proceedings.neurips.cc,papers.nips.cc,openaccess.thecvf.com"
    )
    """Hosts that papers may be fetched from by their address, separated by commas; each is that
    host alone, without its subdomains. Empty: none are fetched."""
    fetch_timeout_s: float = Field(30, gt=0)
    """Longest that fetching one paper may take, redirects included, in seconds."""

    otlp_endpoint: HttpUrl | None = None
    """An OpenTelemetry collector (OTLP over HTTP) that gets a trace of each review; needs the extra
    `otel`."""

    @model_validator(mode="after")
    def _upstream_has_a_url(self) -> Settings:
        if self.engine == "upstream" and self.upstream_url is None:
            raise ValueError("engine 'upstream' needs upstream_url")
        return self

    @model_validator(mode="after")
    def _abstain_band_has_two_ends(self) -> Settings:
        if (self.abstain_low is None) != (self.abstain_high is None):
            raise ValueError("abstain_low and abstain_high go together")
        if self.abstain_band and self.abstain_band[0] > self.abstain_band[1]:
            raise ValueError("abstain_low is above abstain_high")
        return self

    @property
    def keeps_reviews(self) -> bool:
        """Whether anything is left once an answer is given."""
        return self.retention != "none"

    @property
    def kept_s(self) -> float:
        """Seconds that reviews are kept; infinite for `forever`."""
        if self.retention == "forever":
            return math.inf
        return 86_400.0 * int(self.retention.removeprefix("days:")) if self.keeps_reviews else 0.0

    @property
    def abstain_band(self) -> tuple[float, float] | None:
        """Both ends, or None where no review is left undecided."""
        if self.abstain_low is None or self.abstain_high is None:
            return None
        return self.abstain_low, self.abstain_high


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment; ``overrides`` (the command's flags) win where not None.

    Raises:
        ConfigurationError: a value is out of range, or a ``REVIEWER_`` variable is no setting.
    """
    known = {API_KEY} | {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"{name} is not a setting{hint}", param=name)
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        where = f"{PREFIX}{name.upper()}: " if name else ""
        raise ConfigurationError(where + first["msg"], param=name or None) from error
