"""Reads requests of TensorFlow Serving's REST interface: rows, columns, examples and base64.

An image is 28 lists of 28 numbers or of 28 lists of one, or one list of 784, or ``{"b64": ...}``
with its 784 raw bytes or with a picture file.
Sources: ``g3doc/api_rest.md`` and ``util/json_tensor.cc`` of tensorflow/serving.
"""

from __future__ import annotations

import base64
import re
from functools import partial
from typing import Any

from service.decode.json_fast import JsonText
from service.decode.json_images import images_from_list, parse_json, read_json
from service.decode.pictures import Pictures
from service.decode.validation import Flaws, expect, refuse
from service.errors import Fault
from service.types import INPUT, PIXELS, Images, Limits

SIGNATURE = "serving_default"
_LEAD = re.compile(rb'"(instances|examples|inputs)"\s*:\s*(?:\{\s*"image"\s*:\s*)?\[')


def from_predict(body: bytes, limits: Limits) -> tuple[Images, bool]:
    """Reads the images of a predict request, and whether they are rows (``instances``)."""

    def decode(text: JsonText) -> tuple[Images, bool]:
        content = _content(text)
        is_rows = "instances" in content
        if is_rows == ("inputs" in content):
            raise refuse("body", 'either "instances" or "inputs" is expected')
        field = "instances" if is_rows else "inputs"
        value = content[field]
        if not is_rows and isinstance(value, dict):
            if INPUT not in value and "b64" not in value:
                raise refuse(field, f'has no "{INPUT}", the name of the model\'s input')
            value = [value] if "b64" in value or isinstance(value[INPUT], dict) else value[INPUT]
        unwrap = partial(_unwrap, limits=limits)
        return images_from_list(value, text, field, limits, unwrap), is_rows

    return read_json(body, _LEAD, decode)


def from_classify(body: bytes, limits: Limits) -> Images:
    """Reads the images of a classify request: ``examples``, with their shared ``context``."""

    def decode(text: JsonText) -> Images:
        content = _content(text)
        context = content.get("context", {})
        expect(dict, context, "context", "an object")
        if "examples" not in content:
            raise refuse("body", '"examples" is expected')
        unwrap = partial(_unwrap, limits=limits, context=context)
        return images_from_list(content["examples"], text, "examples", limits, unwrap)

    return read_json(body, _LEAD, decode)


def _content(text: JsonText) -> dict[str, Any]:
    content: dict[str, Any] = parse_json(text.rest)
    expect(dict, content, "body", "an object")
    signature = content.get("signature_name", SIGNATURE)
    expect(str, signature, "signature_name", "a string")
    if signature not in (SIGNATURE, ""):
        message = f'there is no {signature[:40]!r}; the model has "{SIGNATURE}"'
        raise refuse("signature_name", message)
    return content


def _unwrap(
    items: list[Any],
    first: int,
    flaws: Flaws,
    limits: Limits,
    context: dict[str, Any] | None = None,
) -> list[Any]:
    """Takes each image out of ``{"image": ...}`` and ``{"b64": ...}``; others stay as they are."""
    if set(map(type, items)) == {list}:
        return [_without_channel(item) for item in items]
    images: list[Any] = []
    for index, item in enumerate(items, first):
        value = (context or {}) | item if isinstance(item, dict) else item
        if isinstance(value, dict) and INPUT in value:
            value = value[INPUT]
        if isinstance(value, dict):
            value = _from_base64(value.get("b64"), index, flaws, limits)
        images.append(_without_channel(value) if isinstance(value, list) else value)
    if set(map(type, images)) != {bytes}:
        return [list(image) if isinstance(image, bytes) else image for image in images]
    return images


def _from_base64(text: Any, index: int, flaws: Flaws, limits: Limits) -> bytes:
    if not isinstance(text, str):
        flaws.add(index, f'has neither "{INPUT}" nor "b64" with a string')
        return b""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        flaws.add(index, "b64 is not base64")
        return b""
    if len(data) == PIXELS:
        return data
    try:
        (seen,) = Pictures([data]).preprocess(limits)
    except Fault as fault:
        raw = f"one image is {PIXELS} raw bytes or a picture"
        flaws.add(index, f"b64 holds {len(data):,} bytes; {raw}: {fault.detail}")
        return b""
    return seen.image.tobytes()


def _without_channel(image: list[Any]) -> list[Any]:
    """The rows of an image (28, 28, 1) without its last axis; another list as it is."""
    first = image[0] if image else None
    if not (isinstance(first, list) and first and isinstance(first[0], list)):
        return image
    return [
        [pixel[0] if isinstance(pixel, list) and len(pixel) == 1 else pixel for pixel in row]
        if isinstance(row, list)
        else row
        for row in image
    ]
