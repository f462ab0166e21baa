"""What a line of the log looks like, for a machine and for a person."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Literal

import pytest

from service.observe.logs import LOGGER, STDERR, RequestLog, configure_logs

REQUEST = {
    "request_id": "id-1",
    "method": "GET",
    "path": "/x",
    "status": 404,
    "user_agent": "curl",
    "total_ms": 0.75,
}
NAMES = ("mnist", "uvicorn.error")


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(logger, logger.handlers, logger.propagate, logger.level) for logger in loggers]
    yield
    for logger, handlers, propagate, level in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


Written = Callable[[], list[str]]


@pytest.fixture
def written(capfd: pytest.CaptureFixture[str]) -> Written:
    """Gives the lines on standard error since it was last asked."""

    def read() -> list[str]:
        STDERR.flush()
        return list(capfd.readouterr().err.splitlines())

    return read


@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_a_json_line_is_one_object_with_the_time_in_utc(
    written: Written, log_format: Literal["json", "auto"]
) -> None:
    """``auto`` is JSON without a terminal."""
    assert configure_logs(log_format, "info") is True
    LOGGER.info("serving %s\nnow", "it", extra={"version": "3", "odd": {1, 2} - {2}})
    (line,) = map(json.loads, written())
    assert datetime.fromisoformat(line.pop("time")).utcoffset() == timedelta(0)
    assert line == {"level": "info", "message": "serving it\nnow", "version": "3", "odd": "{1}"}


def test_a_console_line_is_for_a_person(written: Written) -> None:
    assert configure_logs("console", "info") is False
    LOGGER.warning("running on the CPU", extra={"version": "3"})
    (line,) = written()
    assert re.fullmatch(r"\d\d:\d\d:\d\d warning running on the CPU version=3", line)


def test_an_exception_brings_its_traceback(written: Written) -> None:
    for log_format in ("json", "console"):
        configure_logs(log_format, "info")
        try:
            int("inside")
        except ValueError:
            LOGGER.exception("a request failed", extra={"request_id": "abc"})
    as_json, *console = written()
    line = json.loads(as_json)
    assert line["request_id"] == "abc"
    assert line["traceback"].splitlines()[-1] == console[-1]
    assert console[-1].startswith("ValueError: invalid literal")


def test_lines_below_the_level_are_not_written_and_uvicorn_speaks_from_warnings_on(
    written: Written,
) -> None:
    configure_logs("json", "warning")
    LOGGER.info("a")
    LOGGER.warning("b")
    configure_logs("json", "info", ("mnist", "uvicorn.error"))
    logging.getLogger("uvicorn.error").info("c")
    logging.getLogger("uvicorn.error").error("d")
    assert [json.loads(line)["message"] for line in written()] == ["b", "d"]


def test_a_request_is_one_line_however_it_is_worded(written: Written) -> None:
    log = RequestLog(as_json=True, each_request=True)
    log.write("request", {**REQUEST, "path": '/"\n\x00é'})
    (line,) = map(json.loads, written())
    assert datetime.fromisoformat(line.pop("time")).utcoffset() == timedelta(0)
    assert line == {"level": "info", "message": "request", **REQUEST, "path": '/"\n\x00é'}


def test_a_console_line_of_a_request_keeps_control_characters_out(written: Written) -> None:
    log = RequestLog(as_json=False, each_request=True)
    log.write("request", {**REQUEST, "path": "/a\n\x1b[31mb", "user_agent": "x\r\ny"})
    (line,) = written()
    assert r"GET /a\n\x1b[31mb 404 request_id=id-1 user_agent=x\r\ny total_ms=0.75" in line
