"""Every setting of the service. Each is an environment variable ``REVIEWER_<NAME>``."""

from __future__ import annotations

import difflib
import math
import os
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path, user_data_path
from pydantic import Field, HttpUrl, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from app.errors import ConfigurationError

PREFIX = "REVIEWER_"
API_KEY = PREFIX + "API_KEY"
"""The key that commands send to a running service; not a setting of the service."""


class Settings(BaseSettings):
    """Read from the environment by :func:`load_settings`, then passed as an argument; not
    global.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    host: str = "127.0.0.1"
    """Address to listen on. On any address but loopback the service needs API keys, or
    `no_auth`."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0 chooses a free port."""
    published_host: str | None = None
    """The address under which clients reach the service, if that is not `host`: in a container, the
    address that its port is published on. It decides whether API keys are needed."""
    shutdown_delay_s: float = Field(1, ge=0)
    """Seconds after SIGTERM during which the service reports that it is not ready but still accepts
    requests, so that load balancers notice. Ctrl-C does not wait."""
    shutdown_grace_s: int = Field(30, ge=0)
    """Seconds after that until running requests are aborted, and background reviews are put back
    into the queue."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level of the service's log messages. vLLM's are set by `VLLM_LOGGING_LEVEL`
    (`ERROR`)."""
    log_format: Literal["json", "console"] | None = None
    """`json`: one object per line; `console`: human-readable. By default `console` if standard
    error is a terminal, and `json` otherwise."""

    api_keys: dict[str, str] = {}
    """API keys, as a JSON object of a name and a SHA-256 hash for each. `reviewer keys create NAME`
    creates one."""
    api_keys_file: Path | None = None
    """A file with more API keys: one name and hash per line; `#` begins a comment. The file is read
    again when it changes, so keys can be added and revoked without a restart."""
    no_auth: bool = False
    """Serve other machines without API keys."""
    rate_limit_rpm: int | None = Field(None, ge=1)
    """Most requests under `/v1` per minute and key; requests beyond get a 429."""
    rate_limit_burst: int | None = Field(None, ge=1)
    """Most of these requests at once; by default a whole minute's."""
    max_reviews_per_key: int | None = Field(None, ge=1)
    """Most reviews, papers and chats of one key at the same time. Requests beyond get a 429;
    background reviews wait until their key has fewer running."""
    max_reviews: int = Field(64, ge=1)
    """Most reviews, papers and chats at the same time, running and waiting. Requests beyond get a
    503 before their body is read. A request counts once its body has been received; it may occupy
    `max_upload_mb` of memory."""
    max_queued_reviews: int = Field(10_000, ge=1)
    """Most background reviews in the queue; requests beyond get a 503. Each keeps its paper in
    `data_dir`."""
    cors_origins: list[str] = []
    """Origins whose pages may call the service from a browser, as a JSON list; `["*"]` for all."""

    engine: Literal["vllm", "upstream"] = "vllm"
    """`vllm` runs the model in this service; `upstream` uses another OpenAI-compatible server."""
    model: str = "auto"
    """An alias (`reviewer models` lists them), a local folder, a hub id, or a TOML file that
    describes a model (`docs/deploy.md`). `auto` is `gemma-reviewer` with vLLM for GPUs and
    `qwen2.5-coder-1.5b` with vLLM for CPUs; with an upstream, the first model that it lists."""
    cache_dir: Path = user_cache_path("scientific-reviewer")
    """Folder for models that this service brings in pieces and converts. Hub downloads go to
    `HF_HOME`."""

    upstream_url: HttpUrl | None = None
    """Base URL of the upstream, up to and including its `/v1`. A query (`?api-version=...`) goes
    along with every request."""
    upstream_api_key: SecretStr | None = None
    """Sent to the upstream as a bearer token."""
    upstream_tokenizer: str | None = None
    """The tokenizer of the upstream model (alias, folder or hub id), used to count tokens. By
    default the upstream model's name."""

    dtype: Literal["bfloat16", "float16", "float32"] | None = None
    """Number format of weights and activations. By default `bfloat16`, as published, and `float32`
    on a CPU without instructions for that, where it is several times as fast."""
    max_model_len: int = Field(12288, ge=1024)
    """Context length in tokens, for prompt and review together; limited by the model's own."""
    gpu_memory_utilization: float = Field(0.88, gt=0, le=1)
    """Share of the GPU's memory for weights and KV cache."""
    cpu_kv_cache_gib: float = Field(2.0, gt=0)
    """Size of the KV cache on a CPU, in GiB."""
    max_num_seqs: int = Field(16, ge=1)
    """Most sequences that are generated at the same time."""
    max_queued_requests: int = Field(256, ge=1)
    """Most requests in the engine, running and waiting; requests beyond get a 503."""
    engine_hang_s: float = Field(120, gt=0)
    """Seconds without a finished step after which the engine counts as hanging, and is killed and
    restarted. A step processes part of a prompt, or one token of each sequence. A large model on a
    CPU may need more time for a step."""
    enable_prefix_caching: bool = True
    """Keep the KV cache of earlier prompts. Reading a verdict's probability is cheap because of
    it."""
    enforce_eager: bool | None = None
    """Skip compilation at start. By default true on a CPU, where it saves over a minute, and false
    on a GPU."""
    vllm_args: str = ""
    """Additional arguments for vLLM, as on its command line: `--attention-backend TRITON_ATTN`.
    Arguments that the service sets itself are refused; most of them have a setting here."""

    review_format: Literal["structured", "free"] = "structured"
    """Default of a review's `format`: `structured` makes the engine keep to the template's sections
    and verdict line; `free` does not constrain the model, as published. An upstream without
    structural tags always writes freely."""
    templates_dir: Path | None = None
    """A folder of additional review templates, each a folder with `system.txt`, `user.txt` and
    `sections.toml`. The service does not start with an invalid template."""
    calibration: Path | None = None
    """The JSON file that `training.calibrate` writes: it maps the model's probability to the
    measured share of accepted papers. Applied to the model and template that it was fitted for."""
    abstain_low: float | None = Field(None, ge=0, le=1)
    """Together with `abstain_high`: a review whose probability lies between the two, or on one of
    them, has the decision `undecided`."""
    abstain_high: float | None = Field(None, ge=0, le=1)
    """See `abstain_low`."""
    prompt_tokens: int | None = Field(None, ge=512)
    """Most tokens of a prompt, chat template included. By default all that `max_model_len` leaves
    beside the review; 4096 for the models for CPUs, to answer within minutes."""
    max_tokens: int | None = Field(None, ge=1)
    """Default of a review's `max_tokens`. By default the model's own: 1400 as published; 1000 for
    `qwen2.5-coder-1.5b`, 512 for `smollm2`."""
    temperature: float | None = Field(None, ge=0, le=2)
    """Default of a review's `temperature`. By default the model's own: 0.2 as published; 0.7 for
    `qwen2.5-coder-1.5b`."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Default of a review's `top_p`. By default the model's own: 0.9 as published; 0.8 for
    `qwen2.5-coder-1.5b`."""
    top_k: int | None = Field(None, ge=0)
    """Default of a review's `top_k`; 0 means no limit. By default the value in the model's
    `generation_config.json` (64 for Gemma); if there is none, no limit, or an upstream's own
    default."""
    repetition_penalty: float | None = Field(None, gt=0, le=2)
    """Default of a review's `repetition_penalty`. By default the model's own: none as published;
    1.1 for `qwen2.5-coder-1.5b`."""

    data_dir: Path = user_data_path("scientific-reviewer")
    """Folder for papers, and for the database unless `database_url` is set. Processes that share a
    database must share this folder."""
    database_url: SecretStr | None = None
    """`postgresql://user:password@host/name`, for several processes or machines. By default SQLite
    in `data_dir`."""
    retention: str = Field("forever", pattern=r"^(none|forever|days:[1-9]\d{0,4})$")
    """How long reviews and papers are kept: `forever`, `days:30`, or `none`, which deletes both
    after the answer. A shorter time also applies to reviews that are already stored."""
    background_reviews: int = Field(8, ge=0)
    """Background reviews that this process makes at the same time. With 0 it only accepts them, for
    other processes that share its database."""
    lease_s: float = Field(30, ge=1)
    """Seconds without a sign of life after which a process counts as dead, and its reviews are
    started again. Must be the same for all processes that share a database."""
    max_attempts: int = Field(5, ge=1)
    """Failed attempts after which a background review has failed. Attempts count only if the review
    itself may be the cause: see `docs/jobs.md`."""
    max_connections: int = Field(512, ge=1)
    """Most connections at the same time. A further connection closes the one that has waited
    longest without a complete request head."""
    head_timeout_s: float = Field(10, gt=0)
    """Most seconds from the start of a connection, or its last answer, until the head of a request
    is complete."""
    write_timeout_s: float = Field(30, gt=0)
    """Seconds after which a client that reads nothing of its answer is disconnected."""
    max_upload_mb: float = Field(50, gt=0)
    """Largest file, and largest form with a file, in megabytes (10^6 bytes). A chat may contain a
    file of this size in base64, and `max_json_mb` besides."""
    max_json_mb: float = Field(16, gt=0)
    """Largest JSON body in megabytes, without the file in a chat. The two million characters that a
    paper may have always fit, however they are escaped."""
    max_arriving_mb: float = Field(256, gt=0)
    """Most megabytes of all request bodies that are being received at the same time; bodies beyond
    get a 503. Never less than one body of the largest size."""
    min_body_kb_s: float = Field(16, ge=0)
    """Least speed of a request body in kB/s (10^3 bytes); slower bodies get a 408."""
    body_window_s: float = Field(10, gt=0)
    """Seconds of waiting for a body over which its speed is measured."""
    max_pages: int = Field(200, ge=1)
    """Most pages of a PDF."""
    extract_workers: int = Field(2, ge=1)
    """Number of processes that read PDFs."""
    extract_timeout_s: float = Field(60, gt=0)
    """Most seconds for reading one PDF; then its process is killed."""
    extract_cpu_s: int = Field(60, ge=1)
    """Most CPU time for reading one PDF, in seconds."""
    extract_memory_mb: int = Field(2048, ge=256)
    """Address space of one PDF-reading process, in megabytes (2^20 bytes)."""
    extract_documents_per_worker: int = Field(100, ge=1)
    """PDFs that one process reads before a new one replaces it. With 1, a PDF that takes over its
    process can't affect another."""

    page_cache_mb: float = Field(64, ge=0)
    """Megabytes of memory (10^6 bytes) for page images that were drawn last."""

    ocr: Literal["auto", "off"] = "auto"
    """`auto` reads scans by optical character recognition if Tesseract's English data is installed;
    that takes some seconds per page, within the limits above. `off` refuses scans."""

    fetch_hosts: str = (
        "arxiv.org,export.arxiv.org,openreview.net,aclanthology.org,proceedings.mlr.press,"
        "proceedings.neurips.cc,papers.nips.cc,openaccess.thecvf.com"
    )
    """Hosts from which papers may be fetched by URL, separated by commas, without their subdomains.
    If empty, no papers are fetched."""
    fetch_timeout_s: float = Field(30, gt=0)
    """Most seconds for fetching one paper, redirects included."""

    otlp_endpoint: HttpUrl | None = None
    """URL of an OpenTelemetry collector (OTLP over HTTP) that receives a trace of each review.
    Needs the extra `otel`."""

    @field_validator("upstream_api_key")
    @classmethod
    def _key_can_be_sent(cls, key: SecretStr | None) -> SecretStr | None:
        """Without the line break that a key from a file has at its end."""
        bare = key.get_secret_value().strip() if key else ""
        if not (bare.isascii() and bare.isprintable()):
            raise ValueError("it contains characters that no key has")
        return SecretStr(bare) if bare else None

    @field_validator("fetch_hosts")
    @classmethod
    def _hosts_are_no_addresses(cls, hosts: str) -> str:
        for host in map(str.strip, hosts.split(",")):
            if set(host) & set("/:*@ "):
                raise ValueError(f"{host!r} is not the name of a host, such as arxiv.org")
        return hosts

    @model_validator(mode="after")
    def _upstream_has_one_key(self) -> Settings:
        url = self.upstream_url
        if url and (url.username or url.password) and self.upstream_api_key:
            raise ValueError(
                "upstream_url has a user or password, and upstream_api_key is set: only one of "
                "them can be sent"
            )
        return self

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
        """Whether reviews are stored after the answer."""
        return self.retention != "none"

    @property
    def kept_s(self) -> float:
        """Seconds that reviews are kept; infinite for `forever`."""
        if self.retention == "forever":
            return math.inf
        return 86_400.0 * int(self.retention.removeprefix("days:")) if self.keeps_reviews else 0.0

    @property
    def abstain_band(self) -> tuple[float, float] | None:
        """Both ends, or None if no review is left undecided."""
        if self.abstain_low is None or self.abstain_high is None:
            return None
        return self.abstain_low, self.abstain_high


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment; ``overrides`` (the command's flags) win where not None.

    Raises:
        ConfigurationError: a value is invalid, or a ``REVIEWER_`` variable is not a setting.
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
    except SettingsError as error:
        name = str(error).partition('"')[2].partition('"')[0]
        raise ConfigurationError(
            f"{PREFIX}{name.upper()}: it has to be JSON, as its default is: "
            f"{Settings.model_fields[name].default}",
            param=name,
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        where = f"{PREFIX}{name.upper()}: " if name else ""
        raise ConfigurationError(where + first["msg"], param=name or None) from error
