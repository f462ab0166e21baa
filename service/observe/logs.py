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
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import orjson

LOGGER = logging.getLogger("mnist")
_STDERR = Path("/proc/self/fd/2")
_FILE = _STDERR.resolve() if _STDERR.is_file() else None
"""The file that was standard error at the start; None if that was a pipe or a terminal."""
PAUSE_SECONDS = 0.02
"""Lines of this time are written together: to wake a thread for each costs more than a line."""
FLUSH_SECONDS = 2.0  # how long a stop waits for the lines that are not written

_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_REPEATED = ("startup failed. Exiting.", "stopping the parent process.", "HTTP request received.")
"""The ends of uvicorn's lines about events that the service itself logs, with their reasons."""


class LineQueue:
    """Lines for a file descriptor, ``room`` bytes at most; ``dropped`` counts those lost."""

    def __init__(self, descriptor: int, room: int = 4 << 20) -> None:
        self._descriptor, self._room = descriptor, room
        self.dropped: Callable[[int], object] = lambda lines: None
        self.told: Callable[[int], bytes] = lambda lines: b"%d lines were dropped\n" % lines
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # Reentrant, because a signal handler may log while the same thread is adding a line.
        self._lock = threading.RLock()
        self._filled, self._emptied = (
            threading.Condition(self._lock),
            threading.Condition(self._lock),
        )
        self._lines: list[bytes] = []
        self._bytes = self._lost = 0
        self._idle, self._thread = False, False

    def put(self, line: bytes) -> None:
        """Adds a line, which ends with a newline; never waits for its reader."""
        with self._lock:
            if self._bytes + len(line) > self._room:
                self._lose(1)
                return
            self._bytes += len(line)
            self._lines.append(line)
            if self._idle:
                self._idle = False
                self._filled.notify()
            elif not self._thread:
                self._thread = True
                threading.Thread(target=self._run, name="log", daemon=True).start()

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Waits until every line is written, at most so long."""
        with self._lock:
            self._emptied.wait_for(lambda: not self._bytes, seconds)

    def _lose(self, lines: int) -> None:
        self._lost += lines
        self.dropped(lines)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._idle = not self._lines
                self._filled.wait_for(lambda: self._lines)
                lines, self._lines = self._lines, []
                lost, self._lost = self._lost, 0
            size = sum(map(len, lines))
            if lost:
                lines.append(self.told(lost))
            try:
                self._write(b"".join(lines))
            except OSError:  # nobody will ever read the descriptor
                with self._lock:
                    self._lose(len(lines))
            with self._lock:
                self._bytes -= size
                self._emptied.notify_all()
            time.sleep(PAUSE_SECONDS)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another process may have set its end not to block
                waiting = select.poll()
                waiting.register(self._descriptor, select.POLLOUT)
                waiting.poll()


STDERR = LineQueue(2)  # the log of this process
atexit.register(STDERR.flush)


def configure_logs(
    log_format: Literal["auto", "json", "console"],
    log_level: str,
    loggers: Sequence[str] = ("mnist",),
) -> bool:
    """Sends the lines of ``loggers`` to standard error in one form; returns whether as JSON."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    formatter = JsonFormatter() if as_json else ConsoleFormatter()
    handler = _QueueHandler()
    handler.setFormatter(formatter)
    STDERR.told = lambda lines: _lost(lines, formatter)
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


class _QueueHandler(logging.Handler):
    """Hands each record, as a line, to the thread that writes."""

    def emit(self, record: logging.LogRecord) -> None:
        """Adds the record's line to the queue."""
        STDERR.put(self.format(record).encode(errors="backslashreplace") + b"\n")


def _lost(lines: int, formatter: logging.Formatter) -> bytes:
    """Returns the line about lines that found no room."""
    found = {"levelname": "WARNING", "msg": "log lines were dropped", "dropped": lines}
    return formatter.format(logging.makeLogRecord(found)).encode() + b"\n"


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
        """Adds a line; a console line begins with method, path and status, and ends with the id."""
        now = time.time()
        if self._as_json:
            rest = orjson.dumps(facts, option=orjson.OPT_APPEND_NEWLINE)
            STDERR.put(_begin(int(now * 1e3), message) + rest[1:])
            return
        others = dict(facts)
        shown = [str(others.pop(name)) for name in ("request_id", "method", "path", "status")]
        request_id, *first = shown
        named = (f"{name}={value}" for name, value in others.items())
        line = ascii(" ".join((*first, *named, request_id)))[1:-1]
        STDERR.put(f"{_clock(now)} info    {line}\n".encode())


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


@lru_cache(4)  # many lines have the same millisecond
def _begin(milliseconds: int, message: str) -> bytes:
    begin = f'{{"time":"{_time(milliseconds / 1e3)}","level":"info","message":"{message}",'
    return begin.encode()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _RESERVED}
