"""Log lines: one line an event, as JSON or for a person, all to standard error.

A thread writes them, so that a reader of standard error who stalls costs nobody an answer.
"""

from __future__ import annotations

import atexit
import logging
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import orjson

LOGGER = logging.getLogger("mnist")
_STDERR = Path("/proc/self/fd/2")
_FILE = _STDERR.resolve() if _STDERR.is_file() else None
"""The file that was standard error at the start; None if that was a pipe or a terminal."""
PAUSE_SECONDS = 0.02  # lines of this time are written together: to wake a thread costs more
FLUSH_SECONDS = 2.0  # how long a stop waits for the lines that are not written

_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_REPEATED = ("startup failed. Exiting.", "stopping the parent process.", "HTTP request received.")
"""The ends of uvicorn's lines about events that the service itself logs, with their reasons."""


class LineQueue:
    """Lines for a file descriptor, ``room`` bytes at most; ``dropped`` counts those lost."""

    def __init__(self, descriptor: int, room: int = 4 << 20) -> None:
        self._descriptor, self._room = descriptor, room
        self.dropped: Callable[[int], object] = lambda lines: None
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._changed = threading.Condition()  # reentrant: a signal handler may log
        self._lines: list[bytes] = []
        self._bytes = 0
        self._idle = self._runs = False

    def put(self, line: bytes) -> None:
        """Adds a line, which ends with a newline; never waits for its reader."""
        with self._changed:
            if self._bytes + len(line) > self._room:
                self.dropped(1)
                return
            self._bytes += len(line)
            self._lines.append(line)
            if self._idle:
                self._idle = False
                self._changed.notify_all()
            elif not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="log", daemon=True).start()

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Waits until every line is written, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._bytes, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle = not self._lines
                self._changed.wait_for(lambda: self._lines)
                lines, self._lines = self._lines, []
            data = b"".join(lines)
            is_written = self._write(data)
            with self._changed:
                if not is_written:
                    self.dropped(len(lines))
                self._bytes -= len(data)
                self._changed.notify_all()
            time.sleep(PAUSE_SECONDS)

    def _write(self, data: bytes) -> bool:
        """Whether anybody reads the descriptor."""
        rest = memoryview(data)
        with suppress(OSError):
            while rest:
                select.select([], [self._descriptor], [])  # another process may let it not block
                with suppress(BlockingIOError):
                    rest = rest[os.write(self._descriptor, rest) :]
        return not rest


STDERR = LineQueue(2)  # the log of this process
atexit.register(STDERR.flush)


def configure_logs(
    log_format: Literal["auto", "json", "console"],
    log_level: str,
    loggers: Sequence[str] = ("mnist",),
) -> bool:
    """Sends the lines of ``loggers`` to standard error in one form; returns whether as JSON."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    handler, level = _QueueHandler(as_json), log_level.upper()
    handler.addFilter(lambda record: not record.getMessage().endswith(_REPEATED))
    for name in loggers:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        # At info, uvicorn logs its start and stop; the service logs its own.
        logger.setLevel("WARNING" if name == "uvicorn.error" and level != "DEBUG" else level)
    return as_json


class _QueueHandler(logging.Handler):
    """Hands each record, as a line with its ``extra``, to the thread that writes."""

    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def emit(self, record: logging.LogRecord) -> None:
        facts = {name: each for name, each in vars(record).items() if name not in _RESERVED}
        if record.exc_info:
            facts["traceback"] = logging.Formatter().formatException(record.exc_info)
        STDERR.put(_line(self._as_json, record.levelname.lower(), record.getMessage(), facts))


class RequestLog:
    """Writes lines about requests without :mod:`logging`, whose records cost more."""

    def __init__(self, as_json: bool, each_request: bool) -> None:
        self._as_json, self.each_request = as_json, each_request
        self._drawing = 0, set[str]()

    def is_further(self, caller: str) -> bool:
        """Whether this second has a line about a drawing of this caller's, who asks as it grows."""
        if self._drawing[0] != (now := int(time.time())):
            self._drawing = now, set()
        is_further = caller in self._drawing[1]
        self._drawing[1].add(caller)
        return is_further

    def write(self, message: str, facts: dict[str, Any]) -> None:
        """Adds a line; one for a person begins with method, path and status."""
        if not self._as_json:
            facts = {name: ascii(str(fact))[1:-1] for name, fact in facts.items()}
            message = " ".join(facts.pop(name) for name in ("method", "path", "status"))
        STDERR.put(_line(self._as_json, "info", message, facts))


def reopen() -> None:
    """Opens standard error's file anew, if it is one: a tool may have renamed it."""
    if _FILE is None:
        return
    try:
        fresh = os.open(_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, os.fstat(2).st_mode & 0o777)
        os.dup2(fresh, 2)
        os.close(fresh)
    except OSError as error:
        LOGGER.warning("the log goes on in the file of before", extra={"reason": str(error)})


def _line(as_json: bool, level: str, message: str, facts: dict[str, Any]) -> bytes:
    """One JSON object: time (UTC), level, message, the facts; or the same for a person."""
    now = time.time()
    if as_json:
        begin = _begin(int(now * 1e3), level, message)
        rest = orjson.dumps(facts, default=str, option=orjson.OPT_APPEND_NEWLINE)
        return begin + b"," + rest[1:] if facts else begin + b"}\n"
    clock, traceback = time.strftime("%H:%M:%S", time.localtime(now)), facts.pop("traceback", None)
    words = [clock, f"{level:7}", message, *(f"{name}={value}" for name, value in facts.items())]
    text = " ".join(words) if traceback is None else f"{' '.join(words)}\n{traceback}"
    return text.encode(errors="backslashreplace") + b"\n"


@lru_cache(4)  # many lines have the same millisecond
def _begin(milliseconds: int, level: str, message: str) -> bytes:
    when = datetime.fromtimestamp(milliseconds / 1e3, UTC).isoformat(timespec="milliseconds")
    return orjson.dumps({"time": when, "level": level, "message": message})[:-1]
