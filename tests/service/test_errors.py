"""The fault tree, and the two forms in which an answer reports a fault."""

from __future__ import annotations

from http import HTTPStatus

import orjson
import pytest

from service import errors
from service.api.request import JSON_TYPE
from service.errors import PROBLEM_TYPE, Fault, Flaw, Invalid, QueueFull
from service.http.dispatch import render
from service.observe.metric_table import STATUSES

FAULTS = [
    item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Fault)
]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_a_status_that_http_and_the_metrics_know(fault: type[Fault]) -> None:
    assert 400 <= HTTPStatus(fault.status) < 600
    assert fault.status in STATUSES


def test_no_two_faults_share_a_kind_and_only_those_with_retry_after_a_status() -> None:
    apart = [fault for fault in FAULTS if fault is not errors.BodiesFull]  # a full queue, too
    assert len({fault.kind for fault in apart}) == len(apart)
    others = [fault for fault in apart if not issubclass(fault, errors.RateSpent)]
    assert len({fault.status for fault in others}) == len(others)
    assert errors.RateSpent.status == QueueFull.status == 429


def test_a_fault_is_rendered_as_a_problem_with_its_flaws_and_headers() -> None:
    fault = QueueFull("no room", Flaw(3, "images", "x"), headers=((b"retry-after", b"2"),))
    reply = render(fault, "/predict")
    assert reply.status == 429
    assert reply.media_type == PROBLEM_TYPE
    assert reply.headers == ((b"retry-after", b"2"),)
    assert orjson.loads(reply.body) == {
        "type": "urn:mnist-serve:problem:queue-full",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "no room",
        "errors": [{"index": 3, "field": "images", "message": "x"}],
    }
    assert "errors" not in Invalid("wrong").problem()


@pytest.mark.parametrize("path", ["/v1", "/v2", "/v1/models/mnist", "/v2/health/live"])
def test_under_v1_and_v2_there_is_one_sentence_and_400_for_422(path: str) -> None:
    reply = render(Invalid("images: is too big", Flaw(0, "images", "is too big")), path)
    assert reply.status == 400
    assert reply.media_type == JSON_TYPE
    assert orjson.loads(reply.body) == {"error": "images: is too big"}


@pytest.mark.parametrize("path", ["/v10", "/v2x/models", "/", "/predict"])
def test_elsewhere_there_are_problems(path: str) -> None:
    assert render(Invalid("wrong"), path).media_type == PROBLEM_TYPE
