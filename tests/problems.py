"""The one form in which the service tells an error, checked in one place."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

from tests.server import Answer

TIMING = re.compile(r"decode;dur=[0-9.]+, queue;dur=[0-9.]+, infer;dur=[0-9.]+, total;dur=[0-9.]+")
KINDS = {
    400: "malformed",
    404: "not-found",
    405: "method-not-allowed",
    408: "body-timeout",
    413: "too-large",
    414: "path-too-long",
    415: "unsupported-type",
    422: "invalid",
    429: "queue-full",
    431: "headers-too-large",
    503: "unavailable",
    504: "deadline-exceeded",
}


def check_every_answer(answer: Answer) -> None:
    """What the contract promises of any answer: an id, the timing, a length."""
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", answer.headers["x-request-id"])
    assert TIMING.fullmatch(answer.headers["server-timing"]), answer.headers["server-timing"]
    assert "content-length" in answer.headers


def check_problem(answer: Answer, status: int, text: str = "") -> dict[str, Any]:
    """The body of an error answer, after checking status, headers and RFC 9457 form.

    ``text`` must stand in the detail or in one of the errors' messages.
    """
    assert answer.status == status, (answer.status, answer.body[:500])
    check_every_answer(answer)
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(answer.body)
    assert problem.keys() - {"errors"} == {"type", "title", "status", "detail"}
    assert problem["type"] == f"urn:mnist-serve:problem:{KINDS[status]}"
    assert problem["title"] == HTTPStatus(status).phrase
    assert problem["status"] == status
    told = [problem["detail"]]
    for error in problem.get("errors", [{"index": None, "field": "f", "message": "m"}]):
        assert error.keys() == {"index", "field", "message"}
        assert error["index"] is None or error["index"] >= 0
        assert error["field"]
        told.append(error["message"])
    for sentence in told:
        assert sentence
        assert "\n" not in sentence
        assert len(sentence) < 500
        assert "raceback" not in sentence
    assert any(text in sentence for sentence in told), (text, told)
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    if status == 405:
        assert answer.headers["allow"]
    return problem
