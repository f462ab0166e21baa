"""Reads inference requests of the Open Inference Protocol v2: the images and the wanted output.

The model has one input, so a binary tensor is a view of the body from the end of its JSON on.
Sources: ``inference_rest.md`` of kserve/open-inference-protocol; ``extension_binary_data.md``,
``extension_classification.md`` and ``extension_parameters.md`` of triton-inference-server/server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.decode.json_fast import JsonText
from service.decode.json_images import pack_images, pack_rows, parse_json, read_json
from service.decode.validation import check_count, check_pixels, name_of, refuse, shape_flaw
from service.errors import Malformed
from service.types import INPUT, OUTPUT, PIXELS, SIDE, Images, Limits

MOST_CLASSES = 10
DATATYPE = "UINT8"
_SHARED_MEMORY = "shared_memory_region"
_LEAD = re.compile(rb'"(data)"\s*:\s*\[')


@dataclass(slots=True)
class InferRequest:
    """The images of a request, and the form in which the answer has the probabilities."""

    images: Images
    id: str | None = None
    binary: bool = False  # the output follows the JSON of the answer as bytes
    classes: int = 0  # the number of likeliest digits to name; 0 for the probabilities themselves
    timeout_s: float | None = None


def from_infer(body: bytes, header_length: str | None, limits: Limits) -> InferRequest:
    """Reads a request; ``header_length`` is its ``Inference-Header-Content-Length``.

    That is the number of bytes of JSON at the beginning. Without it the whole body is JSON. With 0
    there is no JSON, and the body is one image of 784 bytes. Raises :class:`Malformed`,
    :class:`Invalid` and :class:`TooLarge`.
    """
    if header_length is None:
        return read_json(body, _LEAD, lambda text: _request(text, memoryview(b""), limits))
    size = _json_bytes(header_length, len(body))
    if size:
        tail = memoryview(body)[size:]
        return read_json(body[:size], _LEAD, lambda text: _request(text, tail, limits))
    if len(body) != PIXELS:
        expected = f"with Inference-Header-Content-Length 0 the body is one image of {PIXELS} bytes"
        raise refuse(None, INPUT, f"{len(body):,} bytes; {expected}")
    image = np.frombuffer(body, np.uint8).reshape(1, SIDE, SIDE)
    return InferRequest(check_pixels(image, INPUT), binary=True)


def _json_bytes(header_length: str, body_bytes: int) -> int:
    if not (header_length.isascii() and header_length.isdigit()) or len(header_length) > 18:
        raise Malformed("Inference-Header-Content-Length must be a whole number of bytes")
    size = int(header_length)
    if size > body_bytes:
        given = f"the body has {body_bytes:,} bytes"
        raise Malformed(f"Inference-Header-Content-Length is {size:,}, but {given}")
    return size


def _request(text: JsonText, tail: memoryview, limits: Limits) -> InferRequest:
    content = parse_json(text.rest)
    if not isinstance(content, dict):
        raise refuse(None, "body", f"is {name_of(content)}; an object with inputs is expected")
    request = InferRequest(_input_images(content, text, tail, limits))
    request.id = typed_field(content, "id", str, "a string", "request")
    parameters = parameters_of(content, "request")
    request.timeout_s = _timeout_s(parameters.get("timeout", 0))
    request.binary = _flag(parameters, "binary_data_output", "request")
    output = parameters_of(_only_tensor(content, "outputs", OUTPUT) or {}, OUTPUT)
    if "binary_data" in output:
        request.binary = _flag(output, "binary_data", OUTPUT)
    if "classification" in output:
        classes = output["classification"]
        if type(classes) is not int or classes < 1:
            expected = "a number of classes from 1 is expected"
            raise refuse(None, OUTPUT, f"classification is {_as_text(classes)}; {expected}")
        request.classes = min(classes, MOST_CLASSES)
    return request


def _timeout_s(microseconds: Any) -> float | None:
    """Returns the timeout in seconds; None for 0, which is Triton's "not set"."""
    if type(microseconds) not in {int, float} or microseconds < 0:
        given = _as_text(microseconds)
        raise refuse(None, "timeout", f"is {given}; a number of microseconds is expected")
    return microseconds / 1e6 if microseconds else None


def _input_images(
    content: dict[str, Any], text: JsonText, tail: memoryview, limits: Limits
) -> Images:
    """Reads the one input, from its ``data`` or from the ``tail`` of the body after the JSON."""
    tensor = _only_tensor(content, "inputs", INPUT)
    if tensor is None:
        raise refuse(None, "inputs", f'a list with one tensor, "{INPUT}", is expected')
    count = _count(tensor, limits)
    parameters = parameters_of(tensor, INPUT)
    if "binary_data_size" in parameters:
        if "data" in tensor:
            raise refuse(None, INPUT, "has both data and binary_data_size; one is expected")
        _check_binary_size(parameters["binary_data_size"], count, len(tail))
        numbers = np.frombuffer(tail, np.uint8)
    else:
        if tail:
            raise Malformed(f"{len(tail):,} bytes follow the JSON, and belong to no tensor")
        if "data" not in tensor:
            raise refuse(None, INPUT, "has neither data nor a binary_data_size")
        numbers = _numbers(tensor["data"], text)
        if len(numbers) != count * PIXELS:
            declared = f"shape [{count}, {SIDE}, {SIDE}] takes {count * PIXELS:,}"
            raise refuse(None, INPUT, f"data has {len(numbers):,} numbers; {declared}")
    return check_pixels(numbers.reshape(count, SIDE, SIDE), INPUT)


def _count(tensor: dict[str, Any], limits: Limits) -> int:
    """Returns the number of images, after a check of the declared datatype and shape."""
    if tensor.get("datatype") != DATATYPE:
        given = _as_text(tensor.get("datatype"))
        raise refuse(None, INPUT, f"datatype {given} is not supported; the model has {DATATYPE}")
    match tensor.get("shape"):
        case [int() as count, int() as rows, int() as columns] if (
            type(count) is int and count >= 0 and rows == columns == SIDE
        ):
            check_count(count, limits, INPUT)
            return count
        case shape:
            raise refuse(None, INPUT, f"shape {_as_text(shape)} is not [n, {SIDE}, {SIDE}]")


def _check_binary_size(size: Any, count: int, given: int) -> None:
    wanted = count * PIXELS
    if type(size) is not int or size != wanted:
        declared = f"shape [{count}, {SIDE}, {SIDE}] of {DATATYPE} takes {wanted:,} bytes"
        raise refuse(None, INPUT, f"binary_data_size is {_as_text(size)}; {declared}")
    if given != wanted:
        raise Malformed(f"{given:,} bytes follow the JSON; the tensor takes {wanted:,}")


def _numbers(data: Any, text: JsonText) -> NDArray[np.uint8]:
    """Reads a flat list of numbers, or a list of images of one form, as numbers (n,).

    Raises :class:`Invalid`, which names the first value that is not a whole number from 0 to 255,
    or the first fault in the shape of an image.
    """
    if text.form is not None and data == []:
        parts = []
        for start, stop, plain in text.pieces():
            if plain is None:
                place = f"between bytes {start:,} and {stop:,} of the body"
                raise refuse(None, INPUT, f"data is not whole numbers from 0 to 255 {place}")
            parts.append(plain.reshape(-1))
        return np.concatenate(parts)
    if not isinstance(data, list):
        raise refuse(None, INPUT, f"data is {name_of(data)}; a list is expected")
    booleans = b"true" in text.body or b"false" in text.body
    is_flat = not data or type(data[0]) is not list
    packed = pack_rows([data], len(data), booleans) if is_flat else pack_images(data, booleans)
    if packed is None:
        raise refuse(None, INPUT, _number_flaw(data, "data") if is_flat else _images_flaw(data))
    return np.frombuffer(packed, np.uint8)


def _images_flaw(images: list[Any]) -> str:
    """Describes the first fault in images that :func:`pack_images` rejected."""
    for index, image in enumerate(images):
        if flaw := shape_flaw(image):
            return f"data[{index}] {flaw}"
        rows = (
            [(f"[{n}]", row) for n, row in enumerate(image)]
            if len(image) == SIDE
            else [("", image)]
        )
        for place, row in rows:
            if flaw := _number_flaw(row, f"data[{index}]{place}"):
                return flaw
    return "data mixes images of 28 rows and of 784 numbers"


def _number_flaw(numbers: list[Any], place: str) -> str:
    for index, value in enumerate(numbers):
        if type(value) is not int or not 0 <= value <= 255:
            given = _as_text(value) if type(value) in {int, float} else name_of(value)
            return f"{place}[{index}] is {given}; {DATATYPE} takes whole numbers from 0 to 255"
    return ""


def _only_tensor(owner: dict[str, Any], field: str, known: str) -> dict[str, Any] | None:
    """Returns the one tensor in the list under ``field``, or None if there is none.

    Raises Invalid for a tensor with another name than ``known``, the only one that the model has.
    """
    tensors = owner.get(field)
    if tensors is None:
        return None
    if not isinstance(tensors, list) or not all(isinstance(tensor, dict) for tensor in tensors):
        raise refuse(None, field, f'a list with one tensor, "{known}", is expected')
    for tensor in tensors:
        if (name := tensor.get("name")) != known:
            raise refuse(None, field, f'there is no {_as_text(name)}; the model has "{known}"')
    if len(tensors) > 1:
        raise refuse(None, field, f'"{known}" is given {len(tensors)} times')
    return tensors[0] if tensors else None


def parameters_of(owner: dict[str, Any], place: str) -> dict[str, Any]:
    """Returns the object under ``parameters``, or an empty one. ``place`` is the owner's name."""
    found = owner.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise refuse(None, place, f"parameters is {name_of(found)}; an object is expected")
    if _SHARED_MEMORY in found:
        raise refuse(None, place, f"{_SHARED_MEMORY}: shared memory is not supported")
    return found


def typed_field(owner: dict[str, Any], name: str, kind: type, expected: str, place: str) -> Any:
    """Returns the value under ``name``, of exactly this type, or None if there is none."""
    value = owner.get(name)
    if value is not None and type(value) is not kind:
        raise refuse(None, place, f"{name} is {_as_text(value)}; {expected} is expected")
    return value


def _flag(owner: dict[str, Any], name: str, place: str) -> bool:
    return typed_field(owner, name, bool, "true or false", place) or False


def _as_text(value: Any) -> str:
    """Returns a JSON value as text for a message, cut if it is long."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
