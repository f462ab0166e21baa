"""The wire shapes, as OpenAPI shows them; examples are real answers.

They describe and are not run on requests: the decoders check what arrives, vectorised, and say
what is wrong with which image.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

Digit = Field(ge=0, le=9)
Share = Field(ge=0, le=1)


class Seen(BaseModel):
    """What the model saw, with `?include=seen`."""

    png: str = Field(
        json_schema_extra={"contentEncoding": "base64", "contentMediaType": "image/png"},
        description="the 28x28 image that the model read",
    )
    box: list[int] | None = Field(
        min_length=4,
        max_length=4,
        description="left, top, width and height of the digit in the upright picture's pixels; "
        "null for what is taken as given, and where none was found",
    )
    polarity: Literal["as given", "dark on light", "light on dark"]
    stroke_width: float = Field(description="mean width of the strokes in pixels of the 28x28")


class Prediction(BaseModel):
    """What one image shows."""

    digit: int = Digit
    confidence: float = Field(ge=0, le=1, description="the largest of the probabilities")
    probabilities: list[float] = Field(
        min_length=10, max_length=10, description="for the digits 0 to 9; they sum to 1"
    )
    doubtful: bool
    doubts: list[
        Literal["blank", "not a digit", "several digits", "too small", "low contrast", "inverted"]
    ]
    seen: Seen | None = Field(None, description="only with `?include=seen`")


class Predictions(BaseModel):
    """The answer of `/predict`, in the order of the images."""

    model_config = ConfigDict(protected_namespaces=())
    model: Literal["mnist"]
    version: str = Field(examples=["3"])
    predictions: list[Prediction]


class DigitRead(BaseModel):
    """One digit of a number."""

    digit: int = Digit
    confidence: float = Share
    box: list[int] = Field(
        min_length=4,
        max_length=4,
        description="left, top, width and height in the upright picture's pixels",
    )


class NumberRead(BaseModel):
    """The answer of `/read`."""

    text: str = Field(
        examples=["90210"], description="a newline between lines of digits; empty for none"
    )
    digits: list[DigitRead] = Field(description="in reading order")


class ClassScores(BaseModel):
    """How one digit fared; null where a figure would divide by zero."""

    digit: int = Digit
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


class Mistake(BaseModel):
    """An image that was taken for another digit."""

    index: int
    label: int = Digit
    digit: int = Digit
    confidence: float = Share


class Evaluation(BaseModel):
    """The answer of `/evaluate`."""

    model_config = ConfigDict(protected_namespaces=())
    model: Literal["mnist"]
    version: str = Field(examples=["3"])
    count: int
    accuracy: float | None
    loss: float | None = Field(
        description="mean cross-entropy in nats, probabilities clipped at 1e-7"
    )
    calibration_error: float | None = Field(
        description="expected calibration error over 15 equal-width bins"
    )
    per_class: list[ClassScores]
    confusion_matrix: list[list[int]] = Field(description="10 x 10, rows are the true digits")
    mistakes: list[Mistake] = Field(description="up to 20, the most confident first")


class VersionState(BaseModel):
    """One version of the model in this worker."""

    version: str
    state: Literal["serving", "loaded", "available", "failed"]
    reason: str | None = Field(description="why it failed")


class ProviderState(BaseModel):
    """What really runs the champion, read back from the session."""

    requested: Literal["auto", "cpu", "cuda"]
    active: Literal["cpu", "cuda"]
    fallback: str | None = Field(description="why auto did not get CUDA")
    nodes: dict[str, int] = Field(description="graph nodes by execution provider")
    onnxruntime: str
    threads: int


class ModelState(BaseModel):
    """A model with its versions."""

    name: Literal["mnist"]
    champion: str
    champion_fault: str | None = Field(
        description="why the version that the champion file names does not serve"
    )
    versions: list[VersionState]
    provider: ProviderState


class Models(BaseModel):
    """The answer of `/models`."""

    models: list[ModelState]


class Status(BaseModel):
    """The answer of the health checks."""

    status: Literal["live", "ready"]


class FlawShown(BaseModel):
    """One thing wrong with the input."""

    index: int | None = Field(description="the image, from 0")
    field: str
    message: str


class Problem(BaseModel):
    """Every error, after RFC 9457."""

    type: str = Field(examples=["urn:mnist-serve:problem:invalid"])
    title: str
    status: int
    detail: str
    errors: list[FlawShown] | None = None


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


_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _options(tag: str, answer: type[BaseModel], faults: tuple[int, ...]) -> dict[str, Any]:
    responses: dict[int | str, Any] = {200: {"model": answer, "description": "The answer."}}
    for status in faults:
        responses[status] = {"description": _FAULTS[status], "content": _PROBLEM}
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
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PIXEL = {"type": "number", "minimum": 0, "maximum": 255}
_IMAGE: dict[str, Any] = {
    "description": "28 rows of 28 pixels, or 784 pixels; 0 is background, 255 full ink.",
    "oneOf": [
        {
            "type": "array",
            "minItems": 28,
            "maxItems": 28,
            "items": {"type": "array", "minItems": 28, "maxItems": 28, "items": _PIXEL},
        },
        {"type": "array", "minItems": 784, "maxItems": 784, "items": _PIXEL},
    ],
}
_IMAGES = {"type": "array", "minItems": 1, "items": _IMAGE}
_PREDICT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [
                    {
                        "type": "object",
                        "required": ["images"],
                        "properties": {"images": _IMAGES},
                        "additionalProperties": False,
                    },
                    {
                        "type": "object",
                        "required": ["pictures"],
                        "properties": {
                            "pictures": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "string", "contentEncoding": "base64"},
                            }
                        },
                        "additionalProperties": False,
                    },
                ]
            }
        },
        "application/octet-stream": {**_BINARY, "x-description": "n * 784 bytes, row by row"},
        "application/x-npy": _BINARY,
        "image/*": _BINARY,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {"type": "array", "items": {"type": "string", "format": "binary"}}
                },
            }
        },
    },
}
_READ_BODY = {
    "required": True,
    "content": {kind: _PREDICT_BODY["content"][kind] for kind in ("image/*", "multipart/form-data")}
    | {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["pictures"],
                "properties": {
                    "pictures": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1,
                        "items": {"type": "string", "contentEncoding": "base64"},
                    }
                },
                "additionalProperties": False,
            }
        }
    },
}
_EVALUATE_BODY = {
    "required": False,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["images", "labels"],
                "properties": {
                    "images": _IMAGES,
                    "labels": {
                        "type": "array",
                        "items": {"type": "integer", "minimum": 0, "maximum": 9},
                    },
                },
                "additionalProperties": False,
            }
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "images": {"type": "string", "format": "binary"},
                    "labels": {"type": "string", "format": "binary"},
                    "dataset": {"type": "string", "format": "binary"},
                },
            }
        },
    },
}

PREDICT = {
    **_options("digits", Predictions, (400, 404, 408, 413, 415, 422, 429, 503, 504)),
    "openapi_extra": {
        "parameters": [_VERSION, _INCLUDE, _TIMEOUT, _REQUEST_ID],
        "requestBody": _PREDICT_BODY,
    },
}
READ = {
    **_options("digits", NumberRead, (400, 404, 408, 413, 415, 422, 429, 503, 504)),
    "openapi_extra": {
        "parameters": [_VERSION, _TIMEOUT, _REQUEST_ID],
        "requestBody": _READ_BODY,
    },
}
EVALUATE = {
    **_options("digits", Evaluation, (400, 404, 408, 413, 415, 422, 503, 504)),
    "openapi_extra": {
        "parameters": [_DATASET, _VERSION, _TIMEOUT, _REQUEST_ID],
        "requestBody": _EVALUATE_BODY,
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
            404: {"description": "There is no such picture.", "content": _PROBLEM},
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
