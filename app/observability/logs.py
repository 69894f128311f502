"""Logging for the service, uvicorn and vLLM, as JSON or human-readable.

Of exceptions only types and tracebacks' locations are logged, as messages may contain a paper's
text.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, Literal

import structlog
from structlog.contextvars import merge_contextvars
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name

from app.redaction import without_credentials

LogFormat = Literal["json", "console"]
Entry = MutableMapping[str, Any]

log = logging.getLogger(__name__)

START_REPORT = "SCIENTIFIC_REVIEWER_START_REPORT"
"""Environment variable with the file in which engine processes report why they fail to start."""
_WORDS_ONLY = re.compile(r"[:<(]")


def configure_logging(level: str, log_format: LogFormat | None) -> None:
    """Send all logs of this process to standard error, in one format."""
    terminal = sys.stderr.isatty()
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(log_format or ("console" if terminal else "json"), terminal))
    logging.root.handlers = [handler]
    # At DEBUG, libraries may log their input.
    logging.root.setLevel(max(logging.INFO, logging.getLevelName(level.upper())))
    logging.getLogger("app").setLevel(level.upper())
    logging.captureWarnings(True)
    # Otherwise logging prints a message's arguments if it can't format the message.
    logging.raiseExceptions = False
    # httpx logs each request, and so each request to an upstream.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    threading.excepthook = _thread_died


def configure_engine_process() -> None:
    """A plugin for vLLM (``vllm.general_plugins``): the same log format in the engine's processes,
    and a report of a failed start if the service asks for it (``app.engine.start_report``).
    """
    if multiprocessing.parent_process() and START_REPORT in os.environ:
        logging.getLogger("vllm").addHandler(StartReport(Path(os.environ[START_REPORT])))
    if logging.root.handlers or os.environ.get("VLLM_CONFIGURE_LOGGING") != "0":
        return
    asked = os.environ.get("REVIEWER_LOG_FORMAT")
    configure_logging("info", "json" if asked == "json" else "console" if asked else None)
    logging.getLogger("vllm").setLevel(os.environ.get("VLLM_LOGGING_LEVEL", "ERROR").upper())


class StartReport(logging.Handler):
    """Appends logged exceptions to a file, if it exists, as JSON lines of class name and text, the
    outermost exception first.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(logging.ERROR)
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info and record.exc_info[1]
        if not error or not self._path.exists():
            return
        with contextlib.suppress(OSError), self._path.open("r+", encoding="utf-8") as report:
            report.seek(0, os.SEEK_END)
            for fault in error_chain(error):
                report.write(f"{json.dumps(fault)}\n")


def error_chain(error: BaseException | None) -> Iterator[tuple[str, str]]:
    """Class names and texts of an exception and its causes, the outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = type(error)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        yield f"{module}{kind.__qualname__}", str(error)
        error = error.__cause__ or error.__context__


def log_loop_faults() -> None:
    """Log unhandled exceptions of the event loop; asyncio's message contains the exception's
    text.
    """

    def log_fault(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        log.error("a fault in the event loop: %s", _WORDS_ONLY.split(context["message"])[0])
        if error := context.get("exception"):
            log.error("its exception", exc_info=error)

    asyncio.get_running_loop().set_exception_handler(log_fault)


def _thread_died(died: threading.ExceptHookArgs) -> None:
    log.error("a thread died", exc_info=died.exc_value)


def _formatter(log_format: LogFormat, colours: bool) -> ProcessorFormatter:
    renderer: Any = structlog.processors.JSONRenderer()
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=colours)
    return ProcessorFormatter(
        foreign_pre_chain=[
            merge_contextvars,
            add_log_level,
            add_logger_name,
            ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _name_process,
            _without_messages,
            _without_credentials,
        ],
        processors=[ProcessorFormatter.remove_processors_meta, _without_nothing, renderer],
    )


def _name_process(_: Any, __: str, entry: Entry) -> Entry:
    record: logging.LogRecord = entry["_record"]
    if record.processName != "MainProcess":
        entry["process"] = record.processName
    return entry


def _without_nothing(_: Any, __: str, entry: Entry) -> Entry:
    # color_message is uvicorn's message again, with escape sequences for a terminal.
    return {
        name: value
        for name, value in entry.items()
        if value is not None and name != "color_message"
    }


def _without_messages(_: Any, __: str, entry: Entry) -> Entry:
    """Replace the exception and its causes by their types and locations."""
    exc_info = entry.pop("exc_info", None)
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if isinstance(error, BaseException):
        entry["exception"] = list(_outline(error, set()))
    return entry


def _without_credentials(_: Any, __: str, entry: Entry) -> Entry:
    """Remove passwords from URLs, which libraries log in error messages."""
    return {
        name: without_credentials(value) if isinstance(value, str) else value
        for name, value in entry.items()
    }


def _outline(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    yield f"{type(error).__module__}.{type(error).__qualname__} at {' > '.join(places)}"
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _outline(part, seen)
    yield from _outline(error.__cause__ or error.__context__, seen)


def _short(filename: str) -> str:
    """The last three parts of a path."""
    return "/".join(Path(filename).parts[-3:])
