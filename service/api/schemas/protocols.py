"""The shapes of ``/v1`` and ``/v2``, which their protocols lay down."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_NAMES = ConfigDict(protected_namespaces=())
_Row = list[float]


class Predicted(BaseModel):
    """``predictions`` for ``instances``, ``outputs`` for ``inputs``; ten probabilities a row."""

    predictions: list[_Row] | None = None
    outputs: list[_Row] | None = None


class Classified(BaseModel):
    """For each example ten pairs of label and probability."""

    results: list[list[tuple[str, float]]]


class ModelNames(BaseModel):
    """The names of the models."""

    models: list[Literal["mnist"]]


class ErrorStatus(BaseModel):
    """Why a version is not available."""

    error_code: Literal["OK", "FAILED_PRECONDITION"]
    error_message: str


class VersionStatus(BaseModel):
    """The state of a version."""

    version: str
    state: Literal["AVAILABLE", "END"]
    status: ErrorStatus


class VersionStatuses(BaseModel):
    """The states of the versions that the path names."""

    model_config = _NAMES
    model_version_status: list[VersionStatus]


class SignatureMetadata(BaseModel):
    """The model's signature, as the JSON of TensorFlow's SignatureDef."""

    model_config = _NAMES
    model_spec: dict[str, str]
    metadata: dict[str, Any]


class Live(BaseModel):
    """The process answers."""

    live: bool


class Ready(BaseModel):
    """The service is ready."""

    ready: bool


class ModelReady(BaseModel):
    """The version is ready."""

    name: Literal["mnist"]
    ready: bool


class ServerMetadata(BaseModel):
    """The server's name, version and protocol extensions."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor of the model."""

    name: str
    datatype: str
    shape: list[int] = Field(description="-1 is any size")


class ModelMetadata(BaseModel):
    """The model's versions and tensors."""

    name: Literal["mnist"]
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelStatistics(BaseModel):
    """What versions have done, in the form of Triton's statistics extension."""

    model_config = _NAMES
    model_stats: list[dict[str, Any]]


class OutputTensor(TensorMetadata):
    """An output tensor; in binary its data follow the JSON."""

    data: list[float] | list[str] | None = None
    parameters: dict[str, Any] | None = None


class InferResponse(BaseModel):
    """The answer of ``infer``."""

    model_config = _NAMES
    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class IndexEntry(BaseModel):
    """A version in the repository."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class Done(BaseModel):
    """An empty object."""


_IMAGE = {
    "description": "An image: 28 rows of 28 pixels, 784 pixels, or its 784 raw bytes in base64.",
    "oneOf": [
        {"type": "array", "items": {}},
        {
            "type": "object",
            "required": ["b64"],
            "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
        },
        {"type": "object", "required": ["image"], "properties": {"image": {}}},
    ],
}
_IMAGES = {"type": "array", "minItems": 1, "items": _IMAGE}
_SIGNATURE = {"type": "string", "enum": ["serving_default", ""]}
_PARAMETERS = {"type": "object", "additionalProperties": True}
OCTETS_BODY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _list_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _body(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": schema}, **more}}}


_INPUT_TENSOR = _object(
    "name",
    "shape",
    "datatype",
    name={"type": "string"},
    shape=_list_of({"type": "integer"}),
    datatype={"type": "string"},
    parameters=_PARAMETERS,
    data=_list_of({}),
)
V2_INFER = _body(
    _object(
        "inputs",
        id={"type": "string"},
        parameters=_PARAMETERS,
        inputs=_list_of(_INPUT_TENSOR),
        outputs=_list_of(_object("name", name={"type": "string"}, parameters=_PARAMETERS)),
    ),
    **OCTETS_BODY,
)
V2_INDEX = _body(_object(ready={"type": "boolean"}))
V2_CHANGE = _body(_object(parameters=_PARAMETERS))
V1_PREDICT = _body(_object(signature_name=_SIGNATURE, instances=_IMAGES, inputs={}))
V1_CLASSIFY = _body(
    _object("examples", signature_name=_SIGNATURE, context=_object(), examples=_IMAGES)
)
