"""Inference requests of the Open Inference Protocol v2: what is asked, and for which images.

Sources: ``inference_rest.md`` of kserve/open-inference-protocol; ``extension_binary_data.md``,
``extension_classification.md`` and ``extension_parameters.md`` of triton-inference-server/server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from service.decode import long_lists, v2_fields
from service.decode.diagnosis import name_of
from service.decode.json_images import check_pixels
from service.decode.long_lists import Lists
from service.decode.v2_tensors import input_images
from service.decode.validation import refuse
from service.errors import Malformed
from service.types import INPUT, OUTPUT, PIXELS, SIDE, Images, Limits

MOST_CLASSES = 10


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
    return long_lists.read(
        text, lambda content, lists: _request(content, lists, text, rest, limits)
    )


def _request(
    content: Any, lists: Lists, text: bytes, rest: memoryview, limits: Limits
) -> InferRequest:
    if not isinstance(content, dict):
        raise refuse(None, "body", f"is {name_of(content)}; an object with inputs is expected")
    request = InferRequest(input_images(content, lists, text, rest, limits))
    request.id = v2_fields.typed(content, "id", str, "a string", "request")
    parameters = v2_fields.parameters(content, "request")
    request.timeout_s = _timeout_s(parameters)
    request.binary = v2_fields.flag(parameters, "binary_data_output", "request")
    output = v2_fields.only(content, "outputs", OUTPUT)
    if output is not None:
        _read_output(v2_fields.parameters(output, OUTPUT), request)
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


def _read_output(parameters: dict[str, Any], request: InferRequest) -> None:
    """Takes over how the one output is wanted."""
    if "binary_data" in parameters:
        request.binary = v2_fields.flag(parameters, "binary_data", OUTPUT)
    if "classification" in parameters:
        classes = parameters["classification"]
        if type(classes) is not int or classes < 1:
            given = v2_fields.shown(classes)
            told = f"classification is {given}; a number of classes from 1 is expected"
            raise refuse(None, OUTPUT, told)
        request.classes = min(classes, MOST_CLASSES)


def _timeout_s(parameters: dict[str, Any]) -> float | None:
    """The parameter ``timeout`` in seconds; none for 0, which is Triton's "not set"."""
    timeout = parameters.get("timeout", 0)
    if type(timeout) not in {int, float} or timeout < 0:
        raise refuse(
            None, "timeout", f"is {v2_fields.shown(timeout)}; a number of microseconds is expected"
        )
    return timeout / 1e6 if timeout else None
