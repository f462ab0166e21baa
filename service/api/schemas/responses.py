"""The answers with a fault, as OpenAPI documents them."""

from typing import Any

from pydantic import BaseModel, Field

from service.errors import PROBLEM_TYPE, Fault, Flaw, Invalid

Responses = dict[int | str, dict[str, Any]]

WIRE = (400, 403, 408, 414, 421, 431)
"""What any head may be answered; these rules hold for every path."""
BODY = (404, 408, 413, 414, 415, 429, 431, 500, 503, 504)
"""What any request with images may be answered, besides 400 and 422."""
_KINDS = {Fault.status: Fault} | {kind.status: kind for kind in Fault.__subclasses__()}
_TEXTS = {status: (kind.__doc__ or "").partition("\n")[0] for status, kind in _KINDS.items()}
_FLAW = Flaw(0, "images", "has 2 numbers; 28 rows of 28 or 784 numbers are expected")


class Problem(BaseModel):
    """Every error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="one sentence")
    errors: list[Flaw] = Field([], description="absent if there is one fault, in `detail`")


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
        content = {PROBLEM_TYPE.decode(): {"schema": schema, "example": example}}
        answers[status] = {"description": _TEXTS[status], "content": content}
    return answers


def errors(*statuses: int) -> Responses:
    """Answers in the form of ``/v1`` and ``/v2``, one for each status; 400 stands for 422 too."""
    texts = {**_TEXTS, 400: f"{_TEXTS[400]} Or: {_TEXTS[422]}"}
    answers = sorted({*statuses, *WIRE})
    return {status: {"description": texts[status], "model": ErrorAnswer} for status in answers}


def refusals(path: str) -> Responses:
    """The answers of an endpoint at ``path`` to a caller without the key that it needs."""
    return (errors if path.startswith(("/v1", "/v2")) else problems)(401)
