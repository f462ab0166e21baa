"""The formats of answers and errors, checked in one place."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

from tests.server import Answer

TIMING = re.compile(r"decode;dur=[0-9.]+, queue;dur=[0-9.]+, infer;dur=[0-9.]+, total;dur=[0-9.]+")
KINDS = {
    400: "malformed",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "body-timeout",
    413: "too-large",
    414: "path-too-long",
    415: "unsupported-type",
    421: "misdirected",
    422: "invalid",
    429: "queue-full",
    431: "headers-too-large",
    503: "unavailable",
    504: "deadline-exceeded",
}


def check_every_answer(answer: Answer) -> None:
    """Checks what every answer has: a request id, the timing, a length, a type to be believed."""
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", answer.headers["x-request-id"])
    assert TIMING.fullmatch(answer.headers["server-timing"]), answer.headers["server-timing"]
    assert "content-length" in answer.headers


def check_problem(answer: Answer, status: int, text: str = "") -> dict[str, Any]:
    """Checks an RFC 9457 error: its status, headers and fields. Returns its body.

    The detail or the message of one of its errors must contain ``text``.
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


def check_ok(answer: Answer) -> Any:
    """Checks that an answer is JSON with status 200. Returns the JSON."""
    assert answer.status == 200, answer.body[:500]
    check_every_answer(answer)
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def check_error(answer: Answer, status: int, text: str = "") -> None:
    """Checks an error in the format of TensorFlow Serving and of the Open Inference Protocol."""
    assert answer.status == status, answer.body[:500]
    check_every_answer(answer)
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()
    assert error.keys() == {"error"}
    assert text in error["error"]
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
