"""The engine's memory on the device, as reported by its process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.report import Value

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

_GIB = 2**30


def _of_worker(worker: Any) -> dict[str, float]:
    """Runs in the engine's process."""
    found = {
        "weights GiB": getattr(worker.model_runner, "model_memory_usage", None),
        "KV GiB": getattr(worker, "available_kv_cache_memory_bytes", None),
    }
    return {name: round(int(size) / _GIB, 2) for name, size in found.items() if size}


async def memory(llm: AsyncLLM) -> dict[str, Value]:
    """Weights and KV cache, as far as this kind of worker knows them."""
    try:
        (found,) = await llm.collective_rpc(_of_worker, timeout=20)
    except Exception as error:  # noqa: BLE001  # a figure less, and no reason to stop
        return {"memory": f"{type(error).__name__}: {error}"[:80]}
    config = llm.vllm_config
    return {
        **found,
        "batched tokens": config.scheduler_config.max_num_batched_tokens,
        "sequences": config.scheduler_config.max_num_seqs,
        "async": config.scheduler_config.async_scheduling,
        "attention": str(config.attention_config.backend).rpartition(".")[2],
        "graphs": str(config.compilation_config.cudagraph_mode).rpartition(".")[2],
        "runner": "V2" if config.use_v2_model_runner else "V1",
    }
