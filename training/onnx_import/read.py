"""Reads an ONNX file and the external data beside it, and no other file.

A hostile model could name any file of the machine as its external data. The loader of onnx opens
only regular files in the model's folder (https://onnx.ai/onnx/repo-docs/ExternalData.html).
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from onnx import ModelProto, TensorProto
from onnx.checker import ValidationError
from onnx.external_data_helper import load_external_data_for_tensor

from service.models.repository import MODEL_BYTES_LIMIT
from training.errors import TrainingError
from training.onnx_import.forms import printable


def read(path: Path, limit: int = MODEL_BYTES_LIMIT) -> tuple[ModelProto, dict[str, Any]]:
    """Returns the model with its external data, and what the card says of its files.

    Raises :class:`TrainingError` for what is no model, or has more than ``limit`` bytes.
    """
    if path.exists() and not path.is_file():
        raise TrainingError("it is not a file")
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise TrainingError(f"it cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise TrainingError(f"it has more than {limit:,} bytes")
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's own, which has no types
        raise TrainingError("it is no ONNX model") from error
    # Every field is optional, so that many byte strings parse.
    if not (model.graph.node and model.graph.output and model.opset_import):
        raise TrainingError("it is no ONNX model: it has no graph")
    return model, {
        "file": printable(path.name),
        "sha256": sha256(content).hexdigest(),
        "size_bytes": len(content),
        "external_data": _load_external_data(model, path.parent, limit - len(content)),
    }


def _load_external_data(model: ModelProto, folder: Path, limit: int) -> dict[str, str]:
    """Loads what lies in other files into the model; returns the SHA-256 of each by its name."""
    hashes: dict[str, str] = {}
    for tensor in tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        try:
            load_external_data_for_tensor(tensor, str(folder))
        except (ValidationError, ValueError, OSError) as error:
            raise TrainingError(f"external data {location!r}: {error}") from error
        if (name := printable(location)) not in hashes:
            hashes[name] = sha256((folder / location).read_bytes()).hexdigest()
        limit -= len(tensor.raw_data)  # several tensors may name the same bytes: each takes memory
        if limit < 0:
            raise TrainingError("it is too large with its external data")
    return hashes


def tensors(message: Any) -> Iterator[TensorProto]:
    """Yields every tensor anywhere in a message: weights, constants, those of inner graphs."""
    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from tensors(part)
