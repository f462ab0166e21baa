"""What ``/v1`` and ``/v2`` answer, as their protocols specify it."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from service.api.schemas.reasons import Reasons

_Row = list[float]


class Predicted(BaseModel):
    """``predictions`` for ``instances``, ``outputs`` for ``inputs``; ten probabilities a row."""

    predictions: list[_Row] | None = None
    outputs: list[_Row] | None = None


class Explained(Predicted):
    """The answer of predict, with the reasons of each row (KServe's explain)."""

    explanations: list[Reasons]


class Classified(BaseModel):
    """For each example ten pairs of label and probability."""

    results: list[list[tuple[str, float]]]


class ModelNames(BaseModel):
    """The names of the models."""

    models: list[Literal["mnist"]]


class VersionStatus(BaseModel):
    """The state of a version."""

    version: str
    state: Literal["AVAILABLE", "END"]
    status: dict[Literal["error_code", "error_message"], str]


class VersionStatuses(BaseModel):
    """The states of the versions that the path names."""

    model_version_status: list[VersionStatus]
    name: Literal["mnist"] | None = None
    ready: bool | None = None


class Signature(BaseModel):
    """The model's signature, as the JSON of TensorFlow's SignatureDef."""

    model_spec: dict[str, str]
    metadata: dict[str, Any]


class Live(BaseModel):
    """The process answers."""

    live: bool


class Ready(BaseModel):
    """The service is ready."""

    ready: bool


class ModelReady(Ready):
    """The version is ready."""

    name: Literal["mnist"]


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

    model_stats: list[dict[str, Any]]


class OutputTensor(TensorMetadata):
    """An output tensor; in binary its data follow the JSON."""

    data: list[float] | list[str] | None = None
    parameters: dict[str, Any] | None = None


class InferResponse(BaseModel):
    """The answer of ``infer``."""

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
