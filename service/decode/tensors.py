"""Inference requests of the Open Inference Protocol v2: JSON, and tensors in binary after it.

The model has one input and one output, so a request has one tensor, which is wherever it comes
from a view of the body. Sources: ``inference_rest.md`` of kserve/open-inference-protocol;
``extension_binary_data.md``, ``extension_classification.md`` and ``extension_parameters.md`` of
triton-inference-server/server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import orjson
from numpy.typing import NDArray

from service.decode import PIXELS, SIDE, Images, Limits, longlists
from service.decode.diagnose import name_of
from service.decode.flaws import check_count, refuse
from service.decode.integers import pack_integers
from service.decode.longlists import Lists
from service.decode.pixels import check_pixels
from service.errors import Malformed
from service.runtime import INPUT, OUTPUT

DATATYPE = "UINT8"
MOST_CLASSES = 10
_SHARED_MEMORY = "shared_memory_region"


@dataclass(slots=True)
class InferRequest:
    """What is asked: the images, and in which form the probabilities are to come back."""

    images: Images
    id: str | None = None
    binary: bool = False
    """The output follows the answer's JSON as bytes, instead of standing in it as numbers."""
    classes: int = 0
    """How many of the likeliest digits to name, as strings; 0 for the probabilities themselves."""
    timeout_s: float | None = None


def from_infer(body: bytes, header_length: str | None, limits: Limits) -> InferRequest:
    """The request in a body; ``header_length`` is its ``Inference-Header-Content-Length``.

    That is how many bytes of JSON come first; without it all is JSON, and with 0 nothing is, the
    body being one image of 784 bytes. Raises :class:`Malformed`, :class:`Invalid` and
    :class:`TooLarge`.
    """
    if header_length is None:
        text, rest = body, memoryview(b"")
    else:
        size = _size(header_length, len(body))
        if size == 0:
            return InferRequest(_raw(body), binary=True)
        text, rest = body[:size], memoryview(body)[size:]
    return longlists.read(text, lambda content, lists: _request(content, lists, text, rest, limits))


def _request(
    content: Any, lists: Lists, text: bytes, rest: memoryview, limits: Limits
) -> InferRequest:
    if not isinstance(content, dict):
        raise refuse(None, "body", f"is {name_of(content)}; an object with inputs is expected")
    request = InferRequest(_images(content, lists, text, rest, limits))
    request.id = _typed(content, "id", str, "a string", "request")
    parameters = _parameters(content, "request")
    request.timeout_s = _timeout_s(parameters)
    request.binary = _flag(parameters, "binary_data_output", "request")
    if content.get("outputs"):
        _read_output(content["outputs"], request)
    return request


def _size(header_length: str, body_bytes: int) -> int:
    if not (header_length.isascii() and header_length.isdigit()) or len(header_length) > 18:
        raise Malformed("Inference-Header-Content-Length must be a whole number of bytes")
    size = int(header_length)
    if size > body_bytes:
        raise Malformed(
            f"Inference-Header-Content-Length is {size:,}, but the body has {body_bytes:,} bytes"
        )
    return size


def _raw(body: bytes) -> Images:
    if len(body) != PIXELS:
        raise refuse(
            None,
            INPUT,
            f"{len(body):,} bytes; with Inference-Header-Content-Length 0 the body is one image"
            f" of {PIXELS} bytes",
        )
    return check_pixels(np.frombuffer(body, np.uint8).reshape(1, SIDE, SIDE), INPUT)


def _images(
    content: dict[str, Any], lists: Lists, text: bytes, rest: memoryview, limits: Limits
) -> Images:
    """The images of the one input, from its ``data`` or from the ``rest`` of the body."""
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or not inputs or not all(isinstance(i, dict) for i in inputs):
        raise refuse(None, "inputs", f'a list with one tensor, "{INPUT}", is expected')
    for tensor in inputs:
        if tensor.get("name") != INPUT:
            _refuse_name("inputs", tensor.get("name"), INPUT)
    if len(inputs) > 1:
        raise refuse(None, "inputs", f'"{INPUT}" is given {len(inputs)} times')
    (tensor,) = inputs
    count = _count(tensor, limits)
    parameters = _parameters(tensor, INPUT)
    if "binary_data_size" in parameters:
        if "data" in tensor:
            raise refuse(None, INPUT, "has both data and binary_data_size; one is expected")
        _check_binary(parameters["binary_data_size"], count, len(rest))
        array = np.frombuffer(rest, np.uint8)
    else:
        if rest:
            raise Malformed(f"{len(rest):,} bytes follow the JSON, and no tensor claims them")
        array = _numbers(tensor, lists, count, text)
    return check_pixels(array.reshape(count, SIDE, SIDE), INPUT)


def _count(tensor: dict[str, Any], limits: Limits) -> int:
    """The number of images that a tensor declares, once it is declared as the model's input is."""
    if tensor.get("datatype") != DATATYPE:
        given = _shown(tensor.get("datatype"))
        raise refuse(None, INPUT, f"datatype {given} is not read here; {DATATYPE} is")
    shape = tensor.get("shape")
    if not isinstance(shape, list) or len(shape) != 3 or shape[1:] != [SIDE, SIDE]:
        raise refuse(None, INPUT, f"shape {_shown(shape)} is not [n, {SIDE}, {SIDE}]")
    if type(shape[0]) is not int or shape[0] < 0:
        raise refuse(None, INPUT, f"shape {_shown(shape)} is not [n, {SIDE}, {SIDE}]")
    check_count(shape[0], limits, INPUT)
    count: int = shape[0]
    return count


def _check_binary(size: Any, count: int, given: int) -> None:
    wanted = count * PIXELS
    if type(size) is not int or size != wanted:
        raise refuse(
            None,
            INPUT,
            f"binary_data_size is {_shown(size)}; shape [{count}, {SIDE}, {SIDE}] of {DATATYPE}"
            f" takes {wanted:,} bytes",
        )
    if given != wanted:
        raise Malformed(
            f"{given:,} bytes follow the JSON of Inference-Header-Content-Length bytes; the"
            f" tensors take {wanted:,}"
        )


def _numbers(tensor: dict[str, Any], lists: Lists, count: int, text: bytes) -> NDArray[np.uint8]:
    if "data" not in tensor:
        raise refuse(None, INPUT, "has neither data nor a binary_data_size")
    data = lists.get(tensor["data"])
    if isinstance(data, np.ndarray):
        if data.dtype != np.uint8 or data.shape == (SIDE, SIDE):
            raise longlists.NotPlain
        numbers = data.reshape(-1)
    else:
        booleans = b"true" in text or b"false" in text
        numbers = np.frombuffer(pack_integers(data, INPUT, booleans=booleans), np.uint8)
    if len(numbers) != count * PIXELS:
        raise refuse(
            None,
            INPUT,
            f"data has {len(numbers):,} numbers; shape [{count}, {SIDE}, {SIDE}] takes"
            f" {count * PIXELS:,}",
        )
    return numbers


def _read_output(outputs: Any, request: InferRequest) -> None:
    """Takes over how the one output is wanted."""
    if not isinstance(outputs, list) or not all(isinstance(o, dict) for o in outputs):
        raise refuse(None, "outputs", f'a list with "{OUTPUT}", or none, is expected')
    for output in outputs:
        if output.get("name") != OUTPUT:
            _refuse_name("outputs", output.get("name"), OUTPUT)
    if len(outputs) > 1:
        raise refuse(None, "outputs", f'"{OUTPUT}" is asked for {len(outputs)} times')
    parameters = _parameters(outputs[0], OUTPUT)
    if "binary_data" in parameters:
        request.binary = _flag(parameters, "binary_data", OUTPUT)
    if "classification" in parameters:
        classes = parameters["classification"]
        if type(classes) is not int or classes < 1:
            raise refuse(
                None,
                OUTPUT,
                f"classification is {_shown(classes)}; a number of classes from 1 is expected",
            )
        request.classes = min(classes, MOST_CLASSES)


def _timeout_s(parameters: dict[str, Any]) -> float | None:
    """The parameter ``timeout`` in seconds; none for 0, which is Triton's "not set"."""
    timeout = parameters.get("timeout", 0)
    if type(timeout) not in {int, float} or timeout < 0:
        raise refuse(None, "timeout", f"is {_shown(timeout)}; a number of microseconds is expected")
    return timeout / 1e6 if timeout else None


def _parameters(owner: dict[str, Any], place: str) -> dict[str, Any]:
    parameters = owner.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise refuse(None, place, f"parameters is {name_of(parameters)}; an object is expected")
    if _SHARED_MEMORY in parameters:
        raise refuse(None, place, f"{_SHARED_MEMORY}: shared memory is not offered here")
    return parameters


def _flag(parameters: dict[str, Any], name: str, place: str) -> bool:
    return _typed(parameters, name, bool, "true or false", place) or False


def _typed(owner: dict[str, Any], name: str, kind: type, expected: str, place: str) -> Any:
    value = owner.get(name)
    if value is not None and type(value) is not kind:
        raise refuse(None, place, f"{name} is {_shown(value)}; {expected} is expected")
    return value


def _refuse_name(field: str, name: Any, known: str) -> NoReturn:
    raise refuse(None, field, f'there is no {_shown(name)}; the model has "{known}"')


def _shown(value: Any) -> str:
    """A JSON value for a message, cut where it is long."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
