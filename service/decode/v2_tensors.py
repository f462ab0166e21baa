"""The input tensor of a v2 request: numbers in its JSON, or bytes after it.

The model has one input, so a tensor in binary is a view of the body, wherever its JSON ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.decode import long_lists, v2_fields
from service.decode.integers import pack_integers
from service.decode.json_images import check_pixels
from service.decode.long_lists import Lists
from service.decode.validation import check_count, refuse
from service.errors import Malformed
from service.types import INPUT, PIXELS, SIDE, Images, Limits

DATATYPE = "UINT8"


def input_images(
    content: dict[str, Any], lists: Lists, text: bytes, rest: memoryview, limits: Limits
) -> Images:
    """The images of the one input, from its ``data`` or from the ``rest`` of the body.

    ``content`` is the value of the JSON in ``text``, with ``lists`` taken out of it. Raises
    :class:`Malformed`, :class:`Invalid` and :class:`TooLarge`.
    """
    tensor = v2_fields.only(content, "inputs", INPUT)
    if tensor is None:
        raise refuse(None, "inputs", f'a list with one tensor, "{INPUT}", is expected')
    count = _count(tensor, limits)
    parameters = v2_fields.parameters(tensor, INPUT)
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
        given = v2_fields.shown(tensor.get("datatype"))
        raise refuse(None, INPUT, f"datatype {given} is not read here; {DATATYPE} is")
    shape = tensor.get("shape")
    if (
        not isinstance(shape, list)
        or set(map(type, shape)) != {int}
        or shape[0] < 0
        or shape[1:] != [SIDE, SIDE]
    ):
        raise refuse(None, INPUT, f"shape {v2_fields.shown(shape)} is not [n, {SIDE}, {SIDE}]")
    check_count(shape[0], limits, INPUT)
    count: int = shape[0]
    return count


def _check_binary(size: Any, count: int, given: int) -> None:
    wanted = count * PIXELS
    if type(size) is not int or size != wanted:
        declared = f"shape [{count}, {SIDE}, {SIDE}] of {DATATYPE} takes {wanted:,} bytes"
        raise refuse(None, INPUT, f"binary_data_size is {v2_fields.shown(size)}; {declared}")
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
            raise long_lists.NotPlain
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
