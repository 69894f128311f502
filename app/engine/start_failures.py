"""Explains why an engine did not start: the library's message, a remedy, whether to try again.

The patterns match texts in the sources of vLLM 0.32.0, torch (``c10/cuda/CUDAFunctions.cpp``,
``c10/cuda/CUDACachingAllocator.cpp``), huggingface_hub 1.31, transformers 5.17 and safetensors, and
in CUDA's runtime library, 13.5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import ConfigurationError, ModelNotStarted, ReviewerError
from app.observability.logs import error_chain
from app.redaction import without_credentials

_LONGEST_MESSAGE = 600
"""Characters; some libraries print a whole configuration."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception in this process or one of the engine's: the name of its class, and its text."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass(frozen=True, slots=True)
class Reason:
    """The meaning of a fault that matches ``pattern``. If ``passing``, the start is tried again."""

    code: str
    pattern: str
    remedy: str
    passing: bool = False


_SMALL_MODEL = "REVIEWER_MODEL=smollm2 takes little of it, but is only good for trying the service"

REASONS = (
    Reason(
        "memory_too_small",
        "MemoryTooSmall",
        "Use a larger machine, raise the container's limit, or set REVIEWER_ENGINE=upstream; "
        f"{_SMALL_MODEL}.",
    ),
    Reason(
        "registry_unreachable",
        "RegistryUnreachable",
        "The package registry can't be reached: check the network, HTTPS_PROXY and pip's "
        "configuration (PIP_INDEX_URL, pip.conf). What has been downloaded is kept.",
        passing=True,
    ),
    Reason(
        "model_piece_damaged",
        "PieceDamaged",
        "It is downloaded again; if that does not help, the registry has another file: check "
        "pip's configuration (PIP_INDEX_URL, pip.conf).",
        passing=True,
    ),
    Reason(
        "model_piece_missing",
        "PieceMissing",
        "Check pip's configuration (PIP_INDEX_URL, pip.conf), or take the same model from the "
        "hub: 'reviewer models' has its id, REVIEWER_MODEL takes it.",
    ),
    Reason(
        "driver_too_old",
        "driver on your system is too old|driver version is insufficient"
        "|unsupported display driver / cuda driver combination"
        "|forward compatibility was attempted on non supported HW",
        "The NVIDIA driver is older than this build of CUDA: update it; on data-centre cards the "
        "image's VLLM_ENABLE_CUDA_COMPATIBILITY=1 helps without that.",
    ),
    Reason(
        "gpu_not_found",
        "No CUDA GPUs are available|[Nn]o NVIDIA driver|no CUDA-capable device"
        "|Failed to infer device type|libcuda\\.so|CUDA unknown error"
        "|CUDA driver initialization failed",
        "No GPU was found: start the container with one (docker run --gpus all; compose.yaml does "
        "that), with the NVIDIA Container Toolkit on the host; without a GPU, 'make setup' "
        "installs vLLM for CPUs.",
    ),
    Reason(
        "gpu_not_supported",
        "no kernel image is available|only supported on GPUs with compute capability",
        "This GPU is too old for this build of vLLM, or for bfloat16: in the latter case "
        "REVIEWER_DTYPE=float16 may help.",
    ),
    Reason(
        "context_too_long",
        "KV cache is needed, which is larger than the available",
        "The memory left beside the weights is too small for one request of this length: lower "
        "REVIEWER_MAX_MODEL_LEN, or raise REVIEWER_GPU_MEMORY_UTILIZATION (on a CPU "
        "REVIEWER_CPU_KV_CACHE_GIB).",
    ),
    Reason(
        "no_room_for_cache",
        "No available memory for the cache blocks",
        "The weights fill the memory that the engine may use: raise "
        "REVIEWER_GPU_MEMORY_UTILIZATION, or take a larger GPU.",
    ),
    Reason(
        "out_of_memory",
        "out of memory|OutOfMemoryError|Free memory on device|Available memory on node"
        "|can't allocate memory"
        "|Cannot allocate memory|MemoryError|std::bad_alloc|Error in memory profiling"
        "|failed to map segment|': -9[,}]",
        "Memory ran out: stop other processes that use it (nvidia-smi, free -h), or lower "
        "REVIEWER_GPU_MEMORY_UTILIZATION (on a CPU REVIEWER_CPU_KV_CACHE_GIB).",
        passing=True,
    ),
    Reason(
        "disk_full",
        "No space left on device|Disk quota exceeded|File too large|There is no room",
        f"Free disk space, or move HF_HOME or REVIEWER_CACHE_DIR to a larger disk; {_SMALL_MODEL}.",
        passing=True,
    ),
    Reason(
        "model_gated",
        "GatedRepoError|Cannot access gated repo|is a gated repo",
        "Accept the model's terms on its page, and set HF_TOKEN to a token of that account.",
    ),
    Reason(
        "model_not_found",
        "RepositoryNotFoundError|RevisionNotFoundError|is not a valid model identifier",
        "The hub has no such model, or it is private: check REVIEWER_MODEL, and HF_TOKEN.",
    ),
    Reason(
        "hub_token_refused",
        "401 Unauthorized|403 Forbidden|Invalid user token|Invalid credentials",
        "The hub refuses HF_TOKEN: create a new token, or unset it for a public model.",
    ),
    Reason(
        "model_not_on_disk",
        "outgoing traffic has been disabled|OfflineModeIsEnabled",
        "The model is not on this disk, and HF_HUB_OFFLINE prevents its download: run 'reviewer "
        "models pull' with a network.",
    ),
    Reason(
        "upstream_unreachable",
        "[Tt]he upstream does not answer|[Tt]he upstream answers 5",
        "Check that the server at REVIEWER_UPSTREAM_URL runs and can be reached from here.",
        passing=True,
    ),
    Reason(
        "upstream_refused",
        "[Tt]he upstream answers [34]|the upstream answers GET /models|the upstream has no model"
        "|The upstream refuses the service's key",
        "Check REVIEWER_UPSTREAM_URL (it ends in /v1 with most servers), REVIEWER_UPSTREAM_API_KEY "
        "and REVIEWER_MODEL.",
        passing=True,
    ),
    Reason(
        "hub_unreachable",
        "LocalEntryNotFoundError|HfHubHTTPError|httpx\\.\\w+(?:Error|Timeout)|ConnectionError"
        "|couldn't connect to",
        "The hub can't be reached: check the network, HTTPS_PROXY and HF_ENDPOINT; 'reviewer "
        "models pull' downloads the model beforehand.",
        passing=True,
    ),
    Reason(
        "weights_damaged",
        "SafetensorError|WeightsDamaged",
        "Download the model again with 'reviewer models pull', or copy a local folder again.",
    ),
    Reason(
        "shared_memory_full",
        "': -7[,}]",
        "Shared memory is full or too small: docker run --shm-size 8g (compose.yaml has it).",
    ),
    Reason(
        "model_refused",
        "ValidationError|Unrecognized model|does not recognize this architecture"
        "|Model architectures .* not supported|no tokenizer at|has no chat template"
        "|no module or parameter named|not initialized from checkpoint|Can't load"
        "|Unable to load|preprocessor_config",
        "vLLM can't load this model folder: it needs config.json, the tokenizer with its chat "
        "template, and all weights, of an architecture that vLLM supports.",
    ),
)
_UNKNOWN = Reason("model_not_started", "", "", passing=True)
_UNINFORMATIVE = (
    "See root cause above|See stack trace for root cause|check the logs for more|^KeyError|: $"
)
_SUBPROCESS_ERROR = "Error raised in subprocess:"
"""vLLM puts this before the whole output of the process that inspects a model's class."""


def why(error: BaseException, reported: Sequence[Fault] = ()) -> ModelNotStarted:
    """The reason of a failed start. ``reported`` are the engine processes' faults, outermost
    first.
    """
    if isinstance(error, ModelNotStarted):
        return error
    faults = [*reported[::-1], *[Fault(*fault) for fault in error_chain(error)][::-1]]
    telling = [fault for fault in faults if not re.search(_UNINFORMATIVE, str(fault))]
    for reason in REASONS:
        for fault in faults:
            if re.search(reason.pattern, str(fault)):
                says = fault if fault in telling or not telling else telling[0]
                return _explained(reason, says.text)
    if isinstance(error, ReviewerError):
        passing = not isinstance(error, ConfigurationError)
        return _explained(Reason(error.code, "", "", passing), error.message)
    return _explained(_UNKNOWN, str((telling or faults)[0]))


def _explained(reason: Reason, text: str) -> ModelNotStarted:
    message = _readable(text)
    if reason.remedy:
        message = f"{message.rstrip('.')}. {reason.remedy}"
    return ModelNotStarted(message, reason.code, passing=reason.passing)


def _readable(text: str) -> str:
    """The text on one line, without pydantic's frame and vLLM's list of architectures."""
    if text.startswith(_SUBPROCESS_ERROR):
        text = text.strip().rpartition("\n")[2]
    text = re.sub(r"^\d+ validation errors? for \w+\s+(Value error, )?", "", text)
    text = re.sub(
        r"\[type=\w+, input_value=.*|Supported architectures: .*", "", text, flags=re.DOTALL
    )
    text = without_credentials(" ".join(text.split()))
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]} ..."
