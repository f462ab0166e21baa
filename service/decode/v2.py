"""Reads inference requests of the Open Inference Protocol v2: the images and the wanted output.

The model has one input, so a binary tensor is a view of the body from the end of its JSON on.
Sources: ``inference_rest.md`` of kserve/open-inference-protocol; ``extension_binary_data.md``,
``extension_classification.md`` and ``extension_parameters.md`` of triton-inference-server/server.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.decode.json_fast import JsonText
from service.decode.json_images import pack_images, pack_rows, parse_json, read_json
from service.decode.validation import check_count, check_pixels, expect, name_of, refuse, shape_flaw
from service.errors import Malformed
from service.types import INPUT, OUTPUT, PIXELS, SIDE, Images, Limits

MOST_CLASSES = 10
DATATYPE = "UINT8"
_SHARED_MEMORY = "shared_memory_region"
_LEAD = re.compile(rb'"(data)"\s*:\s*\[')
Numbers = Callable[[Any], NDArray[np.uint8]]
"""Reads the ``data`` of a tensor as numbers (n,), or raises Invalid."""


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

    Without it the whole body is JSON; with 0 the body is one image of 784 bytes.
    """
    if header_length is None:
        return read_json(body, _LEAD, lambda text: _request(text, memoryview(b""), limits))
    size = _json_bytes(header_length, len(body))
    if size:
        tail = memoryview(body)[size:]
        return read_json(body[:size], _LEAD, lambda text: _request(text, tail, limits))
    if len(body) != PIXELS:
        expected = f"with Inference-Header-Content-Length 0 the body is one image of {PIXELS} bytes"
        raise refuse(INPUT, f"{len(body):,} bytes; {expected}")
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
    expect(dict, content, "body", "an object with inputs")
    return from_content(content, tail, limits, partial(_numbers, text=text))


def from_content(
    content: dict[str, Any], tail: memoryview, limits: Limits, numbers: Numbers
) -> InferRequest:
    """Reads a request's object; ``tail`` is its binary data, ``numbers`` reads its ``data``."""
    request = InferRequest(_input_images(content, tail, limits, numbers))
    request.id = typed_field(content, "id", str, "a string", "request")
    parameters = parameters_of(content, "request")
    timeout_us = parameters.get("timeout", 0)
    if type(timeout_us) not in {int, float} or timeout_us < 0:
        expected = "a number of microseconds is expected"
        raise refuse("timeout", f"is {_as_text(timeout_us)}; {expected}")
    request.timeout_s = timeout_us / 1e6 or None  # 0 is Triton's "not set"
    request.binary = _flag(parameters, "binary_data_output", "request")
    output = parameters_of(_only_tensor(content, "outputs", OUTPUT) or {}, OUTPUT)
    if "binary_data" in output:
        request.binary = _flag(output, "binary_data", OUTPUT)
    if "classification" in output:
        classes = output["classification"]
        if type(classes) is not int or classes < 1:
            expected = "a number of classes from 1 is expected"
            raise refuse(OUTPUT, f"classification is {_as_text(classes)}; {expected}")
        request.classes = min(classes, MOST_CLASSES)
    return request


def _input_images(
    content: dict[str, Any], tail: memoryview, limits: Limits, numbers_of: Numbers
) -> Images:
    """Reads the one input, from its ``data`` or from the ``tail`` of the body after the JSON."""
    tensor = _only_tensor(content, "inputs", INPUT)
    if tensor is None:
        raise refuse("inputs", f'a list with one tensor, "{INPUT}", is expected')
    count = _count(tensor, limits)
    parameters = parameters_of(tensor, INPUT)
    if "binary_data_size" in parameters:
        if "data" in tensor:
            raise refuse(INPUT, "has both data and binary_data_size; one is expected")
        size = parameters["binary_data_size"]
        if type(size) is not int or size != count * PIXELS:
            declared = f"shape [{count}, {SIDE}, {SIDE}] takes {count * PIXELS:,} bytes"
            raise refuse(INPUT, f"binary_data_size is {_as_text(size)}; {declared}")
        if len(tail) != size:
            raise Malformed(f"{len(tail):,} bytes follow the JSON; the tensor takes {size:,}")
        numbers = np.frombuffer(tail, np.uint8)
    else:
        if tail:
            raise Malformed(f"{len(tail):,} bytes follow the JSON, and belong to no tensor")
        if "data" not in tensor:
            raise refuse(INPUT, "has neither data nor a binary_data_size")
        numbers = numbers_of(tensor["data"])
        if len(numbers) != count * PIXELS:
            declared = f"shape [{count}, {SIDE}, {SIDE}] takes {count * PIXELS:,}"
            raise refuse(INPUT, f"data has {len(numbers):,} numbers; {declared}")
    return check_pixels(numbers.reshape(count, SIDE, SIDE), INPUT)


def _count(tensor: dict[str, Any], limits: Limits) -> int:
    """Returns the number of images, after a check of the declared datatype and shape."""
    if tensor.get("datatype") != DATATYPE:
        given = _as_text(tensor.get("datatype"))
        raise refuse(INPUT, f"datatype {given} is not supported; the model has {DATATYPE}")
    match tensor.get("shape"):
        case [int() as count, int() as rows, int() as columns] if (
            type(count) is int and count >= 0 and rows == columns == SIDE
        ):
            check_count(count, limits, INPUT)
            return count
        case shape:
            raise refuse(INPUT, f"shape {_as_text(shape)} is not [n, {SIDE}, {SIDE}]")


def _numbers(data: Any, text: JsonText) -> NDArray[np.uint8]:
    """Reads a flat list of numbers, or a list of images of one form, as numbers (n,)."""
    if text.form is not None and data == []:
        parts = []
        for start, stop, plain in text.pieces():
            whole = plain
            if whole is None:
                whole = _written_as_floats(parse_json(b"[%b]" % text.body[start:stop]))
            if whole is None:
                place = f"between bytes {start:,} and {stop:,} of the body"
                raise refuse(INPUT, f"data is not whole numbers from 0 to 255 {place}")
            parts.append(whole.reshape(-1))
        return np.concatenate(parts)
    if not isinstance(data, list):
        raise refuse(INPUT, f"data is {name_of(data)}; a list is expected")
    booleans = b"true" in text.body or b"false" in text.body
    is_flat = not data or type(data[0]) is not list
    packed = pack_rows([data], len(data), booleans) if is_flat else pack_images(data, booleans)
    if packed is not None:
        return np.frombuffer(packed, np.uint8)
    floats = None if booleans else _written_as_floats(data)
    if floats is not None:
        return floats
    for index, image in enumerate([] if is_flat else data):
        if flaw := shape_flaw(image):
            raise refuse(INPUT, f"data[{index}] {flaw}")
    mixed = "data mixes images of 28 rows and of 784 numbers"
    raise refuse(INPUT, _number_flaw(data, "data") or mixed)


def _written_as_floats(data: list[Any]) -> NDArray[np.uint8] | None:
    """Returns the whole numbers that some clients write as ``7.0``, flat; None for other values."""
    try:
        numbers = np.array(data)
    except ValueError:  # lists of several lengths
        return None
    if numbers.dtype != np.float64 or not _are_bytes(numbers).all():
        return None
    return numbers.reshape(-1).astype(np.uint8)


def whole_bytes(numbers: NDArray[Any], field: str) -> NDArray[np.uint8]:
    """Returns numbers (n,) of any type as bytes; ``7.0`` is a whole number, ``7.5`` is refused."""
    wrong = np.flatnonzero(~_are_bytes(numbers))
    if len(wrong):
        given = numbers[wrong[0]].item()
        takes = f"{DATATYPE} takes whole numbers from 0 to 255"
        raise refuse(INPUT, f"{field}[{wrong[0]}] is {given}; {takes}")
    return numbers.astype(np.uint8)


def _are_bytes(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    whole = numbers == np.floor(numbers)
    fits: NDArray[np.bool_] = whole & (numbers >= 0) & (numbers <= 255)
    return fits


def _number_flaw(numbers: list[Any], place: str) -> str:
    """Describes the first value in a list, or in a list of lists, that is not a byte."""
    is_nested = bool(numbers) and type(numbers[0]) is list
    for index, value in enumerate(numbers):
        here = f"{place}[{index}]"
        if is_nested:
            if flaw := _number_flaw(value, here):
                return flaw
        elif type(value) not in {int, float} or not 0 <= value <= 255 or value % 1:
            given = _as_text(value) if type(value) in {int, float} else name_of(value)
            return f"{here} is {given}; {DATATYPE} takes whole numbers from 0 to 255"
    return ""


def _only_tensor(owner: dict[str, Any], field: str, known: str) -> dict[str, Any] | None:
    """Returns the one tensor in the list under ``field``, named ``known``, or None without one."""
    tensors = owner.get(field)
    if tensors is None:
        return None
    if not isinstance(tensors, list) or not all(isinstance(tensor, dict) for tensor in tensors):
        raise refuse(field, f'a list with one tensor, "{known}", is expected')
    for tensor in tensors:
        if (name := tensor.get("name")) != known:
            raise refuse(field, f'there is no {_as_text(name)}; the model has "{known}"')
    if len(tensors) > 1:
        raise refuse(field, f'"{known}" is given {len(tensors)} times')
    return tensors[0] if tensors else None


def parameters_of(owner: dict[str, Any], place: str) -> dict[str, Any]:
    """Returns the object under ``parameters`` of ``place``, or an empty one."""
    found: Any = owner.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise refuse(place, f"parameters is {name_of(found)}; an object is expected")
    if _SHARED_MEMORY in found:
        raise refuse(place, f"{_SHARED_MEMORY}: shared memory is not supported")
    return found


def typed_field(owner: dict[str, Any], name: str, kind: type, expected: str, place: str) -> Any:
    """Returns the value under ``name``, of exactly this type, or None if there is none."""
    value = owner.get(name)
    if value is not None and type(value) is not kind:
        raise refuse(place, f"{name} is {_as_text(value)}; {expected} is expected")
    return value


def _flag(owner: dict[str, Any], name: str, place: str) -> bool:
    return typed_field(owner, name, bool, "true or false", place) or False


def _as_text(value: Any) -> str:
    """Returns a JSON value as text for a message, cut if it is long."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
