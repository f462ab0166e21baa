"""Log lines: one line an event, as JSON or for a person, all to standard error."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

LOGGER = logging.getLogger("mnist")

_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_REPEATED = ("startup failed. Exiting.", "stopping the parent process.", "HTTP request received.")
"""The ends of uvicorn's lines about events that the service itself logs, with their reasons."""


def configure_logs(
    log_format: Literal["auto", "json", "console"],
    log_level: str,
    loggers: Sequence[str] = ("mnist",),
) -> bool:
    """Sends the lines of ``loggers`` to standard error in one form; returns whether as JSON."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else ConsoleFormatter())
    handler.addFilter(lambda record: not record.getMessage().endswith(_REPEATED))
    level = log_level.upper()
    for name in loggers:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        # At info, uvicorn logs its start and stop; the service logs its own.
        is_quiet = name == "uvicorn.error" and level != "DEBUG"
        logger.setLevel("WARNING" if is_quiet else level)
    return as_json


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, message, then the call's ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as one line of JSON."""
        level, message = record.levelname.lower(), record.getMessage()
        line = {"time": _time(record.created), "level": level, "message": message, **_extra(record)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class ConsoleFormatter(logging.Formatter):
    """One line for a person: time, level, message, and ``extra`` as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as one line, followed by its traceback if it has one."""
        extra = "".join(f" {name}={value}" for name, value in _extra(record).items())
        line = f"{_clock(record.created)} {record.levelname.lower():7} {record.getMessage()}{extra}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class AccessLog:
    """Writes one line a request, without :mod:`logging`, whose records cost more."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._lines: list[bytes] = []

    def write(
        self, request_id: str, method: str, path: str, status: int, milliseconds: dict[str, float]
    ) -> bool:
        """Adds a line; returns True if the caller must schedule :meth:`flush` for this turn."""
        now = time.time()
        if self._as_json:
            line = {
                "time": _time(now),
                "level": "info",
                "message": "request",
                "request_id": request_id,
                "method": method,
                "path": path,
                "status": status,
                **milliseconds,
            }
            entry = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        else:
            spent = " ".join(f"{name}={value:.2f}" for name, value in milliseconds.items())
            shown = f"{method} {ascii(path)[1:-1]} {status} {spent} {request_id}"
            entry = f"{_clock(now)} info    {shown}\n".encode()
        self._lines.append(entry)
        return len(self._lines) == 1

    def flush(self) -> None:
        """Writes the waiting lines; drops them if standard error is closed."""
        lines, self._lines = self._lines, []
        try:
            sys.stderr.buffer.write(b"".join(lines))
            sys.stderr.buffer.flush()
        except (OSError, ValueError):
            pass


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _RESERVED}
