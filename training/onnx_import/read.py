"""Reads an ONNX file and the external data beside it, and no other file.

A model names the files that hold its external data, so a hostile model could name any file of the
machine. The loader of onnx opens only regular files in the model's folder, and follows no link
(https://onnx.ai/onnx/repo-docs/ExternalData.html).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from onnx import ModelProto, TensorProto
from onnx.checker import ValidationError
from onnx.external_data_helper import load_external_data_for_tensor

from service.models.repository import MODEL_BYTES_LIMIT
from training.errors import TrainingError

GIT_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True)
class Source:
    """A model that needs no other file, and the name, hash and size of its file."""

    model: ModelProto
    name: str
    sha256: str
    size_bytes: int
    data: dict[str, str]  # SHA-256 of each file with external data, by its name


def read(path: Path, limit: int = MODEL_BYTES_LIMIT) -> Source:
    """Reads the model at ``path`` with its external data, or raises :class:`TrainingError`."""
    content = _content(path, limit)
    model = _parse(content)
    size = len(content)
    hashes: dict[str, str] = {}
    for tensor in tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            location = next((e.value for e in tensor.external_data if e.key == "location"), "")
            try:
                load_external_data_for_tensor(tensor, str(path.parent))
            except (ValidationError, ValueError, OSError) as error:
                raise TrainingError(f"external data {location!r}: {error}") from error
            if location not in hashes:
                hashes[location] = sha256((path.parent / location).read_bytes()).hexdigest()
            # Several tensors may name the same bytes: each of them takes memory.
            size += len(tensor.raw_data)
            if size > limit:
                raise TrainingError(f"it has more than {limit:,} bytes with its external data")
    return Source(model, path.name, sha256(content).hexdigest(), len(content), hashes)


def _parse(content: bytes) -> ModelProto:
    if content.startswith(GIT_LFS):
        raise TrainingError("it is a Git LFS pointer; run `git lfs pull` to get the model itself")
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's own, which has no types
        raise TrainingError("it is no ONNX model") from error
    # Every field is optional, so that many byte strings parse.
    if not (model.graph.node and model.graph.output and model.opset_import):
        raise TrainingError("it is no ONNX model: it has no graph")
    return model


def tensors(message: Any) -> Iterator[TensorProto]:
    """Yields every tensor anywhere in a message: weights, constants, those of inner graphs."""
    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from tensors(part)


def printable(text: str, longest: int = 100) -> str:
    """Returns the text of a file or a library without control characters, cut to a length."""
    cut = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut)


def _content(path: Path, limit: int) -> bytes:
    if path.exists() and not path.is_file():
        raise TrainingError("it is not a file")
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise TrainingError(f"it cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise TrainingError(f"it has more than {limit:,} bytes")
    return content
