"""Reads requests of TensorFlow Serving's REST interface: rows, columns, examples and base64.

An image is 28 lists of 28 numbers or of 28 lists of one, a list of 784, or ``{"b64": ...}`` of 784
bytes or a picture. Sources: ``g3doc/api_rest.md``, ``util/json_tensor.cc`` of tensorflow/serving.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from service.decode.json_images import images_from_list, parse_json, read_json
from service.decode.json_pieces import JsonText
from service.decode.pictures import Pictures
from service.decode.validation import Flaws, expect, refuse
from service.errors import Fault
from service.types import INPUT, PIXELS, Images, Limits

SIGNATURE = "serving_default"
_LEAD = re.compile(rb'"(instances|examples|inputs)"\s*:\s*(?:\{\s*"image"\s*:\s*)?\[')


def _read(body: bytes, limits: Limits, fields: Sequence[str]) -> tuple[Images, str]:
    """Reads the images of a request, and the one of the ``fields`` that holds them."""

    def decode(text: JsonText) -> tuple[Images, str]:
        content: dict[str, Any] = parse_json(text.rest)
        expect(dict, content, "body", "an object")
        if content.get("signature_name", SIGNATURE) not in (SIGNATURE, ""):
            raise refuse("signature_name", f'there is no such signature; it is "{SIGNATURE}"')
        given = [field for field in fields if field in content]
        if len(given) != 1:
            names = " or ".join(f'"{field}"' for field in fields)
            raise refuse("body", f"{names} is expected")
        value, context = content[given[0]], {}
        if given == ["examples"]:
            context = content.get("context", {})
            expect(dict, context, "context", "an object")
        elif given == ["inputs"] and isinstance(value, dict):
            if INPUT not in value and "b64" not in value:
                raise refuse("inputs", f'has no "{INPUT}", the name of the model\'s input')
            value = [value] if "b64" in value or isinstance(value[INPUT], dict) else value[INPUT]
        unwrap = partial(_unwrap, limits=limits, context=context)
        return images_from_list(value, text, given[0], limits, unwrap), given[0]

    return read_json(body, _LEAD, decode)


from_predict = partial(_read, fields=("instances", "inputs"))
from_classify = partial(_read, fields=("examples",))
"""The examples have a shared ``context``."""


def _unwrap(
    items: list[Any], first: int, flaws: Flaws, limits: Limits, context: dict[str, Any]
) -> list[Any]:
    """Takes each image out of ``{"image": ...}`` and ``{"b64": ...}``; others stay as they are."""
    images: list[Any] = []
    for index, item in enumerate(items, first):
        value = context | item if isinstance(item, dict) else item
        if isinstance(value, dict) and INPUT in value:
            value = value[INPUT]
        if isinstance(value, dict):
            value = _from_base64(value.get("b64"), index, flaws, limits)
        images.append(_without_channel(value) if isinstance(value, list) else value)
    return images


def _from_base64(text: Any, index: int, flaws: Flaws, limits: Limits) -> list[int]:
    if not isinstance(text, str):
        flaws.add(index, f'has neither "{INPUT}" nor "b64" with a string')
        return []
    try:
        data = base64.b64decode(text, validate=True)
        if len(data) != PIXELS:
            data = Pictures([data]).preprocess(limits)[0].image.tobytes()
        return list(data)
    except ValueError:
        flaws.add(index, "b64 is not base64")
    except Fault as fault:
        flaws.add(index, f"b64 holds neither {PIXELS} raw bytes nor a picture: {fault.detail}")
    return []


def _without_channel(image: list[Any]) -> list[Any]:
    """The rows of an image (28, 28, 1) without its last axis; another list as it is."""
    try:
        return [[pixel for (pixel,) in row] for row in image]
    except (TypeError, ValueError):
        return image
