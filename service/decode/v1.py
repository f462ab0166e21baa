"""Requests of TensorFlow Serving's REST interface: rows, columns, examples, and base64.

An image is 28 lists of 28 or one list of 784 numbers, or ``{"b64": ...}`` with its 784 raw bytes.
Sources: ``g3doc/api_rest.md`` and ``util/json_tensor.cc`` of tensorflow/serving.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.decode import long_lists
from service.decode.diagnosis import name_of
from service.decode.json_images import check_pixels, images_from_lists
from service.decode.long_lists import Lists
from service.decode.validation import Flaws, check_count, refuse
from service.types import INPUT, PIXELS, SIDE, Images, Limits

SIGNATURE = "serving_default"
_IMAGE_SHAPES = ((SIDE, SIDE), (PIXELS,))


def from_predict(body: bytes, limits: Limits) -> tuple[Images, bool]:
    """The images of a predict request, and whether they came as rows (``instances``).

    Raises :class:`Malformed`, :class:`Invalid` and :class:`TooLarge`.
    """
    return long_lists.read(body, lambda value, lists: _predict(value, lists, body, limits))


def from_classify(body: bytes, limits: Limits) -> Images:
    """The images of a classify request: ``examples``, over the ``context`` they share.

    Raises :class:`Malformed`, :class:`Invalid` and :class:`TooLarge`.
    """
    return long_lists.read(body, lambda value, lists: _classify(value, lists, body, limits))


def _predict(value: Any, lists: Lists, body: bytes, limits: Limits) -> tuple[Images, bool]:
    content = _content(value)
    if ("instances" in content) == ("inputs" in content):
        raise refuse(None, "body", 'either "instances" or "inputs" is expected')
    if "instances" in content:
        return _rows(content["instances"], lists, "instances", body, limits), True
    column = content["inputs"]
    if isinstance(column, dict) and "b64" not in column:
        if INPUT not in column:
            raise refuse(None, "inputs", f'has no "{INPUT}", which is the model\'s input')
        column = column[INPUT]
    if isinstance(column, dict):
        column = [column]
    return _rows(column, lists, "inputs", body, limits), False


def _classify(value: Any, lists: Lists, body: bytes, limits: Limits) -> Images:
    content = _content(value)
    context = content.get("context", {})
    if not isinstance(context, dict):
        raise refuse(None, "context", f"is {name_of(context)}; an object is expected")
    if "examples" not in content:
        raise refuse(None, "body", '"examples" is expected')
    examples = content["examples"]
    if context and isinstance(examples, list):
        examples = [context | e if isinstance(e, dict) else e for e in examples]
    return _rows(examples, lists, "examples", body, limits)


def _content(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise refuse(None, "body", f"is {name_of(content)}; an object is expected")
    signature = content.get("signature_name", SIGNATURE)
    if not isinstance(signature, str):
        raise refuse(None, "signature_name", f"is {name_of(signature)}; a string is expected")
    if signature not in (SIGNATURE, ""):
        told = f'there is no {signature[:40]!r}; the model has "{SIGNATURE}"'
        raise refuse(None, "signature_name", told)
    return content


def _rows(items: Any, lists: Lists, field: str, body: bytes, limits: Limits) -> Images:
    items = lists.get(items)
    if isinstance(items, np.ndarray):
        if items.shape[1:] not in _IMAGE_SHAPES:
            raise long_lists.NotPlain
        check_count(len(items), limits, field)
        return check_pixels(items.reshape(-1, SIDE, SIDE), field)
    if not isinstance(items, list):
        raise refuse(None, field, f"is {name_of(items)}; a list of images is expected")
    check_count(len(items), limits, field)
    if set(map(type, items)) != {list}:
        items = _unwrapped(items, lists, field)
        if all(isinstance(item, np.ndarray) and item.size == PIXELS for item in items):
            return check_pixels(np.stack([item.reshape(SIDE, SIDE) for item in items]), field)
        items = [item.tolist() if isinstance(item, np.ndarray) else item for item in items]
    booleans = b"true" in body or b"false" in body
    return images_from_lists(items, field, limits, booleans=booleans)


def _unwrapped(items: list[Any], lists: Lists, field: str) -> list[Any]:
    """The items as lists or arrays, where an item may be ``{"image": ...}`` or ``{"b64": ...}``.

    What is no image in either form is left as it is, for the next step to name.
    """
    flaws = Flaws(field)
    unwrapped = []
    for index, item in enumerate(items):
        value = item
        if isinstance(value, dict) and INPUT in value:
            value = value[INPUT]
        if isinstance(value, dict):
            value = _from_base64(value.get("b64"), index, flaws)
        unwrapped.append(lists.get(value))
    flaws.raise_any()
    return unwrapped


def _from_base64(text: Any, index: int, flaws: Flaws) -> NDArray[np.uint8] | None:
    if not isinstance(text, str):
        flaws.add(index, f'has neither "{INPUT}" nor "b64" with a string')
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        flaws.add(index, "b64 is not base64")
        return None
    if len(data) != PIXELS:
        flaws.add(index, f"b64 holds {len(data):,} bytes; one image is {PIXELS} raw bytes")
    return np.frombuffer(data, np.uint8)
