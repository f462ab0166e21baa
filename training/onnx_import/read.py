"""Reads a stranger's ONNX file and the external data beside it, and no other file.

External data (https://onnx.ai/onnx/repo-docs/ExternalData.html) is named by the file itself, so a
hostile one could name any file of the machine. Only a regular file in or below the folder of the
model is opened, one folder at a time and never through a symbolic link.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from onnx import ModelProto, TensorProto

from service.models.repository import MODEL_BYTES_LIMIT
from training.onnx_import import AdoptError

GIT_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True)
class Source:
    """A model that needs no other file, and where it came from."""

    model: ModelProto
    name: str
    sha256: str
    size_bytes: int
    data: dict[str, str]
    """SHA-256 of each file with external data, by its name."""


def read(path: Path, limit: int = MODEL_BYTES_LIMIT) -> Source:
    """Reads the model at ``path``, at most ``limit`` bytes with its external data.

    Raises:
        AdoptError: it is missing, too large, no ONNX model, or names data outside its folder.
    """
    content = _read(path.parent, path.name or ".", limit, links=True)
    model = parse(content)
    budget = _Budget(limit - len(content))
    files = _Folder(path.parent, limit)
    for tensor in tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            _take_in(tensor, files, budget)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.contents.items()}
    digest = hashlib.sha256(content).hexdigest()
    return Source(model, path.name, digest, len(content), hashes)


def parse(content: bytes) -> ModelProto:
    """The model in ``content``.

    Raises:
        AdoptError: there is none.
    """
    if content.startswith(GIT_LFS):
        raise AdoptError("it is a pointer of Git LFS: fetch the model it stands for")
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's, which ships no types
        raise AdoptError("it is no ONNX model") from error
    # Any bytes may happen to parse: every field is optional.
    if not (model.graph.node and model.graph.output and model.opset_import):
        raise AdoptError("it is no ONNX model: it has no graph")
    return model


def tensors(message: Any) -> Iterator[TensorProto]:
    """Every tensor anywhere in a message: weights, constants, those of inner graphs."""
    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from tensors(part)


class _Budget:
    """How many bytes may still be read; tensors may name the same bytes again and again."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise AdoptError("the model and its external data are larger than may be read")


class _Folder:
    """The files of one folder, each read once."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.contents: dict[str, bytes] = {}

    def read(self, location: str) -> bytes:
        if location not in self.contents:
            parts = PurePosixPath(location).parts
            if not parts or location.startswith("/") or ".." in parts or "\0" in location:
                raise AdoptError(f"external data {location!r} is not in the folder of the model")
            self.contents[location] = _read(self.folder, location, self.limit, links=False)
        return self.contents[location]


def _take_in(tensor: TensorProto, files: _Folder, budget: _Budget) -> None:
    """Puts a tensor's external data into the tensor."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    content = files.read(entries.get("location", ""))
    offset = _whole(entries.get("offset"), 0)
    length = _whole(entries.get("length"), len(content) - offset)
    if not 0 <= offset <= offset + length <= len(content):
        raise AdoptError(
            f"tensor {tensor.name!r} is not within its external data, {len(content)} bytes"
        )
    budget.spend(length)
    tensor.raw_data = content[offset : offset + length]
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def _whole(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise AdoptError(f"external data at {text!r}: not a number of bytes")
    return int(text)


def _read(folder: Path, name: str, limit: int, *, links: bool) -> bytes:
    """The content of a regular file below ``folder``, through no link unless ``links``."""
    what = "it" if links else f"external data {name!r}"
    flags = os.O_RDONLY | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW)
    *folders, last = PurePosixPath(name).parts or (".",)
    try:
        with ExitStack() as opened:
            at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, at)
            for part in folders:
                at = os.open(part, flags | os.O_DIRECTORY, dir_fd=at)
                opened.callback(os.close, at)
            # Without O_NONBLOCK, opening a pipe in the file's place would wait for a writer.
            descriptor = os.open(last, flags | os.O_NONBLOCK, dir_fd=at)
            opened.callback(os.close, descriptor)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise AdoptError(f"{what} is not a file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(limit + 1)
    except OSError as error:
        why = error.strerror
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            why = "symbolic links are not followed, and files are no folders"
        raise AdoptError(f"{what} cannot be read: {why}") from error
    if len(content) > limit:
        raise AdoptError(f"{what} has more than {limit:,} bytes")
    return content
