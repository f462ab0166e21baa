"""Reads inference requests of the Open Inference Protocol v2: the images and the wanted output.

The model has one input, so a binary tensor is a view of the body from the end of its JSON on.
Sources: ``inference_rest.md`` of kserve/open-inference-protocol;
``extension_{binary_data,classification,parameters}.md`` of triton-inference-server/server.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.decode.json_images import pack_images, pack_rows, parse_json, read_json
from service.decode.json_pieces import JsonText
from service.decode.validation import check_count, check_pixels, expect, name_of, refuse
from service.errors import Invalid, Malformed
from service.types import INPUT, OUTPUT, PIXELS, SIDE, Images, Limits

MOST_CLASSES = 10
DATATYPE = "UINT8"
_SHAPES = {(), (PIXELS,), (SIDE, SIDE)}
_SHARED_MEMORY = "shared_memory_region"
_WHOLE_NUMBER = re.compile("[0-9]{1,18}")
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
    if not _WHOLE_NUMBER.fullmatch(header_length) or int(header_length) > len(body):
        expected = f"a number of bytes of the body, which has {len(body):,}, is expected"
        given = f"Inference-Header-Content-Length is {header_length[:20]!r}"
        raise Malformed(f"{given}; {expected}")
    if size := int(header_length):
        tail = memoryview(body)[size:]
        return read_json(body[:size], _LEAD, lambda text: _request(text, tail, limits))
    if len(body) != PIXELS:
        expected = f"with Inference-Header-Content-Length 0 the body is one image of {PIXELS} bytes"
        raise refuse(INPUT, f"{len(body):,} bytes; {expected}")
    image = np.frombuffer(body, np.uint8).reshape(1, SIDE, SIDE)
    return InferRequest(check_pixels(image, INPUT), binary=True)


def _request(text: JsonText, tail: memoryview, limits: Limits) -> InferRequest:
    content = parse_json(text.rest)
    expect(dict, content, "body", "an object with inputs")
    return from_content(content, tail, limits, partial(_numbers, text=text))


def from_content(
    content: dict[str, Any], tail: memoryview, limits: Limits, numbers: Numbers
) -> InferRequest:
    """Reads a request's object; ``tail`` is its binary data, ``numbers`` reads its ``data``."""
    images = _input_images(content, tail, limits, numbers)
    parameters = parameters_of(content, "request")
    output = parameters_of(_only_tensor(content, "outputs", OUTPUT) or {}, OUTPUT)
    binary = typed_field(output, "binary_data", {bool}, "true or false")
    if binary is None:
        binary = typed_field(parameters, "binary_data_output", {bool}, "true or false")
    timeout_us = typed_field(parameters, "timeout", {int, float}, "a number of microseconds")
    classes = typed_field(output, "classification", {int}, "a number of classes from 1", 1)
    return InferRequest(
        images,
        typed_field(content, "id", {str}, "a string"),
        bool(binary),
        min(classes or 0, MOST_CLASSES),
        (timeout_us or 0) / 1e6 or None,  # 0 is Triton's "not set"
    )


def _input_images(
    content: dict[str, Any], tail: memoryview, limits: Limits, numbers_of: Numbers
) -> Images:
    tensor = _only_tensor(content, "inputs", INPUT)
    if tensor is None:
        raise refuse("inputs", f'a list with one tensor, "{INPUT}", is expected')
    count = _count(tensor, limits)
    size = parameters_of(tensor, INPUT).get("binary_data_size")
    if (size is None) != ("data" in tensor):
        raise refuse(INPUT, "has neither or both of data and binary_data_size; one is expected")
    shape = f"shape [{count}, {SIDE}, {SIDE}] takes {count * PIXELS:,}"
    if size is not None:
        if type(size) is not int or size != count * PIXELS:
            raise refuse(INPUT, f"binary_data_size is {_as_text(size)}; {shape} bytes")
        if len(tail) != size:
            raise Malformed(f"{len(tail):,} bytes follow the JSON; the tensor takes {size:,}")
        numbers = np.frombuffer(tail, np.uint8)
    else:
        if tail:
            raise Malformed(f"{len(tail):,} bytes follow the JSON, and belong to no tensor")
        numbers = numbers_of(tensor["data"])
        if len(numbers) != count * PIXELS:
            raise refuse(INPUT, f"data has {len(numbers):,} numbers; {shape}")
    return check_pixels(numbers.reshape(count, SIDE, SIDE), INPUT)


def _count(tensor: dict[str, Any], limits: Limits) -> int:
    if tensor.get("datatype") != DATATYPE:
        given = _as_text(tensor.get("datatype"))
        raise refuse(INPUT, f"datatype {given} is not supported; the model has {DATATYPE}")
    shape: Any = tensor.get("shape")
    is_good = isinstance(shape, list) and set(map(type, shape)) == {int} and shape[1:] == [SIDE] * 2
    if not is_good or shape[0] < 0:
        raise refuse(INPUT, f"shape {_as_text(shape)} is not [n, {SIDE}, {SIDE}]")
    check_count(shape[0], limits, INPUT)
    return int(shape[0])


def _numbers(data: Any, text: JsonText) -> NDArray[np.uint8]:
    """Reads a flat list of numbers, or a list of images of one form, as numbers (n,)."""
    if not isinstance(data, list):
        raise refuse(INPUT, f"data is {name_of(data)}; a list is expected")
    parts, first = [], 0
    for plain, items, part in text.pieces(data, parse_json):
        numbers = _from_items(items, part, first) if plain is None else plain
        first += len(items if plain is None else plain)
        parts.append(numbers.reshape(-1))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _from_items(items: list[Any], text: bytes, first: int) -> NDArray[np.uint8]:
    booleans = b"true" in text or b"false" in text
    is_flat = not items or type(items[0]) is not list
    packed = pack_rows([items], len(items), booleans) if is_flat else pack_images(items, booleans)
    if packed is not None:
        return np.frombuffer(packed, np.uint8)
    numbers = np.array(None)
    with suppress(ValueError):  # lists of several lengths
        numbers = np.array(items)
    is_fit = numbers.dtype.kind in "iuf" and numbers.shape[1:] in _SHAPES  # so not nested deeply
    # NumPy takes words as 1 and 0.
    if not is_fit or (booleans and re.search(rb"true|false", orjson.dumps(items))):
        expected = "a list of numbers, or of images of 28 rows of 28 or of 784 numbers, is expected"
        raise refuse(INPUT, f"data has another form; {expected}")
    return whole_bytes(numbers, "data", first)


def whole_bytes(numbers: NDArray[Any], field: str, first: int = 0) -> NDArray[np.uint8]:
    """Returns numbers as bytes; ``7.0`` is a whole number, ``7.5`` is refused as that of its place.

    Places count from ``first``.
    """
    fits = (numbers == np.floor(numbers)) & (numbers >= 0) & (numbers <= 255)
    if not fits.all():
        index = tuple(np.argwhere(~fits)[0])
        place = "".join(f"[{at}]" for at in (index[0] + first, *index[1:]))
        takes = f"{DATATYPE} takes whole numbers from 0 to 255"
        raise refuse(INPUT, f"{field}{place} is {numbers[index].item()}; {takes}")
    return numbers.astype(np.uint8)


def _only_tensor(owner: dict[str, Any], field: str, known: str) -> dict[str, Any] | None:
    """Returns the one tensor in the list under ``field``, named ``known``, or None without one."""
    match owner.get(field):
        case None | []:
            return None
        case [dict() as tensor] if tensor.get("name") == known:
            return tensor
    given = owner[field] if isinstance(owner[field], list) else []
    names = _as_text([one.get("name") for one in given if isinstance(one, dict)])
    raise refuse(field, f'one tensor, "{known}", is expected, not {names}')


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


def typed_field(
    owner: dict[str, Any], name: str, kinds: set[type], expected: str, least: float = 0
) -> Any:
    """Returns the value under ``name``, of exactly one of these types, or None if there is none."""
    value = owner.get(name)
    if value is None or (type(value) in kinds and (type(value) is str or value >= least)):
        return value
    raise Invalid(f"{name} is {_as_text(value)}; {expected} is expected")


def _as_text(value: Any) -> str:
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # lists in lists, deeper than it writes
        return name_of(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
