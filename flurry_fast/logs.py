"""Structured logs on standard error: for people on a terminal, as JSON lines for collectors."""

from __future__ import annotations

import io
import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from flurry_fast.config.model import Log, is_secret


def configure(settings: Log) -> None:
    """Set up structlog and the standard library's logging (librdkafka's lines) for this process."""
    people = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    level = getattr(logging, settings.level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mask_secrets,
    ]
    renderer = structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer(sort_keys=True)
    tracebacks = [] if people else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[*shared, *tracebacks, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Patient())),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _name_of_logger],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tracebacks, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class _Patient(io.TextIOBase):
    """Standard error whose loss ends nobody: what a full disk does not take is not said. (logging is so by itself.)"""

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def _mask_secrets(_logger: Any, _method: str, event: Any) -> Any:
    return {key: "********" if is_secret(key) else value for key, value in event.items()}


def _name_of_logger(_logger: Any, _method: str, event: Any) -> Any:
    record = event.get("_record")
    return event if record is None else {**event, "logger": record.name}
