"""What FastAPI is told of the service's own endpoints: parameters, body, answers and faults."""

from __future__ import annotations

from typing import Any

from fastapi import Response
from pydantic import BaseModel

from service.api.schemas.answers import Evaluation, Models, NumberRead, Predictions, Status
from service.api.schemas.bodies import EVALUATE_BODY, PREDICT_BODY, READ_BODY
from service.errors import Fault, Flaw, Invalid

_FAULTS: dict[int, str] = {
    400: "The bytes are not what they say.",
    404: "There is no such version or data set.",
    408: "The body did not arrive in time.",
    413: "Too many bytes, images or pixels.",
    415: "A Content-Type or Content-Encoding that is not read here.",
    422: "Well-formed, but wrong in shape, type or range.",
    429: "The queue is full; see Retry-After.",
    503: "Not ready, or stopping; see Retry-After.",
    504: "Past the deadline.",
}
_KINDS = {kind.status: kind for kind in Fault.__subclasses__()}
_FLAW = Flaw(0, "images", "has 2 numbers; 28 rows of 28 or 784 numbers are expected")


def _problem(status: int) -> dict[str, Any]:
    """The content of an answer with a fault of this status."""
    fault = _KINDS[status](_FAULTS[status], *[_FLAW] if status == Invalid.status else [])
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"application/problem+json": {"schema": schema, "example": fault.problem()}}


def _options(tag: str, answer: type[BaseModel], faults: tuple[int, ...]) -> dict[str, Any]:
    responses: dict[int | str, Any] = {200: {"model": answer, "description": "The answer."}}
    for status in faults:
        responses[status] = {"description": _FAULTS[status], "content": _problem(status)}
    return {"tags": [tag], "responses": responses}


def _parameter(name: str, where: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": where, "description": text, "required": False, "schema": schema}


_VERSION = _parameter(
    "version", "query", "A version to ask instead of the champion.", {"type": "string"}
)
_INCLUDE = _parameter(
    "include",
    "query",
    "`seen` adds to each prediction what the model saw.",
    {"type": "string", "enum": ["seen"]},
)
_DATASET = _parameter(
    "dataset",
    "query",
    "A data set that the service holds; then there is no body.",
    {"type": "string", "enum": ["mnist-test"]},
)
_TIMEOUT = _parameter(
    "X-Request-Timeout-Ms",
    "header",
    "Milliseconds after which the answer is 504; at most the service's own deadline.",
    {"type": "number", "exclusiveMinimum": 0},
)
_REQUEST_ID = _parameter(
    "X-Request-ID",
    "header",
    "Echoed in the answer and in the log.",
    {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
)

PREDICT = {
    **_options("digits", Predictions, (400, 404, 408, 413, 415, 422, 429, 503, 504)),
    "openapi_extra": {
        "parameters": [_VERSION, _INCLUDE, _TIMEOUT, _REQUEST_ID],
        "requestBody": PREDICT_BODY,
    },
}
READ = {
    **_options("digits", NumberRead, (400, 404, 408, 413, 415, 422, 429, 503, 504)),
    "openapi_extra": {
        "parameters": [_VERSION, _TIMEOUT, _REQUEST_ID],
        "requestBody": READ_BODY,
    },
}
EVALUATE = {
    **_options("digits", Evaluation, (400, 404, 408, 413, 415, 422, 503, 504)),
    "openapi_extra": {
        "parameters": [_DATASET, _VERSION, _TIMEOUT, _REQUEST_ID],
        "requestBody": EVALUATE_BODY,
    },
}
MODELS = _options("models", Models, (503,))
CARD: dict[str, Any] = {
    "tags": ["models"],
    "openapi_extra": {
        "parameters": [
            {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}
        ]
    },
}


def _picture(tag: str, **path: dict[str, Any]) -> dict[str, Any]:
    """A route that answers a PNG; ``path`` has its parameters with their schemas."""
    return {
        "tags": [tag],
        "response_class": Response,
        "responses": {
            200: {"description": "The picture.", "content": {"image/png": {}}},
            404: {"description": "There is no such picture.", "content": _problem(404)},
        },
        "openapi_extra": {
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": schema}
                for name, schema in path.items()
            ]
        },
    }


TEST_IMAGE = _picture("digits", index={"type": "integer", "minimum": 0})
VERSION_PICTURE = _picture(
    "models",
    version={"type": "string"},
    picture={"type": "string", "examples": ["training_curve", "confusion_matrix"]},
)
LIVE = _options("operation", Status, ())
READY = _options("operation", Status, (503,))
METRICS: dict[str, Any] = {
    "tags": ["operation"],
    "responses": {200: {"description": "Text format 0.0.4.", "content": {"text/plain": {}}}},
}
