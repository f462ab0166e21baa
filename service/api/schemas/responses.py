"""The answers with a fault, as OpenAPI documents them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from service.errors import Fault, Flaw, Invalid

Responses = dict[int | str, dict[str, Any]]

_TEXTS: dict[int, str] = {
    400: "The bytes are not what they say.",
    404: "There is no such version, data set or picture.",
    405: "The path exists, but not for this method; see Allow.",
    408: "The body did not arrive in time.",
    413: "Too many bytes, images or pixels.",
    414: "The path and query are longer than the limit.",
    415: "The service does not read this Content-Type or Content-Encoding.",
    422: "The input is well-formed, but wrong in shape, type or range.",
    429: "The queue is full; see Retry-After.",
    431: "The head of the request is larger than the limit.",
    500: "The service failed; its log has the reason.",
    503: "Not ready, or stopping; see Retry-After.",
    504: "The deadline passed.",
}
WIRE = (400, 408, 414, 431)
"""What ``serve`` may answer to any head; these bounds hold for every path."""
BODY = (404, 408, 413, 414, 415, 429, 431, 500, 503, 504)
"""What any request with images may be answered, besides 400 and 422."""
_KINDS = {Fault.status: Fault} | {kind.status: kind for kind in Fault.__subclasses__()}
_FLAW = Flaw(0, "images", "has 2 numbers; 28 rows of 28 or 784 numbers are expected")


class FlawShown(BaseModel):
    """One thing wrong with the input."""

    index: int | None = Field(description="the image, from 0; null for the request as a whole")
    field: str
    message: str


class Problem(BaseModel):
    """Every error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="one sentence")
    errors: list[FlawShown] = Field([], description="absent if there is one thing wrong")


class ErrorAnswer(BaseModel):
    """Every error under ``/v1`` and ``/v2``."""

    error: str = Field(description="one sentence")


PNG: Responses = {200: {"description": "The picture.", "content": {"image/png": {}}}}


def problems(*statuses: int) -> Responses:
    """Answers in the form of RFC 9457, one for each status."""
    schema = {"$ref": "#/components/schemas/Problem"}
    answers: Responses = {}
    for status in sorted({*statuses, *WIRE}):
        flaws = [_FLAW] if status == Invalid.status else []
        example = _KINDS[status](_TEXTS[status], *flaws).problem()
        content = {"application/problem+json": {"schema": schema, "example": example}}
        answers[status] = {"description": _TEXTS[status], "content": content}
    return answers


def errors(*statuses: int) -> Responses:
    """Answers in the form of ``/v1`` and ``/v2``, one for each status."""
    texts = {**_TEXTS, 400: f"{_TEXTS[400]} Or: {_TEXTS[422]}"}
    return {
        status: {"description": texts[status], "model": ErrorAnswer}
        for status in sorted({*statuses, *WIRE})
    }
