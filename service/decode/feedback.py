"""Reads what people say that an image shows."""

import re
from typing import Any, NamedTuple

from service.decode.json_fast import JsonText
from service.decode.json_images import images_from_list, parse_object
from service.decode.pictures import Pictures, from_base64
from service.decode.validation import refuse
from service.types import Images, Limits

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_WAYS = ("request_id", "image", "picture")


class Feedback(NamedTuple):
    """A digit, None for no digit, of one image or of the answer to an image of a request."""

    digit: int | None
    request_id: str
    position: int
    images: Images | Pictures | None


def from_json(body: bytes, limits: Limits) -> Feedback:
    """Reads ``{"digit"}`` with ``"request_id"`` and ``"index"``, ``"image"`` or ``"picture"``."""
    value = parse_object(body, "digit", "index", *_WAYS)
    digit, ways = digit_of(value), [way for way in _WAYS if way in value]
    if len(ways) != 1:
        raise refuse("body", 'one of "request_id", "image" and "picture" is expected')
    if "index" in value and ways != ["request_id"]:
        raise refuse("index", 'belongs to a "request_id"')
    index, request_id = value.get("index", 0), value.get("request_id", "-")
    if type(index) is not int or not 0 <= index < 2**31:
        raise refuse("index", "is not a whole number from 0 on")
    if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
        raise refuse("request_id", "is not 1 to 128 of A-Z, a-z, 0-9, ., _ and -")
    images: Images | Pictures | None = None
    if ways == ["image"]:
        images = images_from_list([value["image"]], JsonText(body, body), "image", limits)
    elif ways == ["picture"]:
        images = from_base64([value["picture"]], "picture", limits)
    return Feedback(digit, request_id, index, images)


def digit_of(value: dict[str, Any]) -> int | None:
    """The member ``digit``: 0 to 9, or None for no digit. Raises Invalid."""
    digit = value.get("digit", "")
    if digit is not None and (type(digit) is not int or not 0 <= digit <= 9):
        flaw = "is neither a whole number from 0 to 9 nor null"
        raise refuse("digit", flaw if "digit" in value else "is missing")
    return digit
