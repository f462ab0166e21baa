"""Reads images with their labels: for ``/evaluate`` JSON or files in a form, for ``/feedback``."""

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.decode.arrays import (
    MAGIC,
    images_from_array,
    labels_from_array,
    read_idx,
    read_npy,
    read_npz,
)
from service.decode.content import gunzip, parse_form
from service.decode.json_images import images_from_list, parse_object, read_images
from service.decode.json_pieces import JsonText
from service.decode.pictures import Pictures, from_base64
from service.decode.validation import Flaws, expect, refuse
from service.errors import Flaw, Malformed
from service.types import Images, Labels, Limits

Labelled = tuple[Images, Labels]  # images (n, 28, 28) and their true digits (n,), 0..9

_DATASET_NAMES = (("images", "labels"), ("x_test", "y_test"))
_MOST_PARTS = 3


def from_json(body: bytes, limits: Limits) -> Labelled:
    """Reads the images and labels of ``{"images": [...], "labels": [...]}``."""
    value, images = read_images(body, limits, "images", "labels")
    if images is None or "labels" not in value:
        raise refuse("body", 'both "images" and "labels" are expected')
    labels = value["labels"]
    expect(list, labels, "labels", "a list of digits")
    flaws = Flaws("labels", "label")
    for index, label in enumerate(labels):
        if type(label) is not int or not 0 <= label <= 9:
            flaws.add(index, "is not a whole number from 0 to 9")
    flaws.raise_any()
    return _paired(images, np.array(labels, dtype=np.int64))


def from_form(body: bytes, boundary: str, limits: Limits) -> Labelled:
    """Reads ``images`` and ``labels`` (``.npy`` or IDX, gzip or not), or one ``dataset`` (npz)."""
    fields: dict[str, bytes] = {}
    for name, data in parse_form(body, boundary, max_parts=_MOST_PARTS):
        if name in fields:
            raise refuse("body", f"the field {name[:40]!r} is repeated")
        fields[name] = data
    if fields.keys() == {"dataset"}:
        return _from_npz(fields["dataset"], limits)
    if fields.keys() != {"images", "labels"}:
        raise refuse("body", 'the fields "images" and "labels", or "dataset", are expected')
    images = _read_array(fields, "images", limits)
    labels = _read_array(fields, "labels", limits)
    return _paired(images_from_array(images, "images", limits), labels_from_array(labels))


def _from_npz(data: bytes, limits: Limits) -> Labelled:
    names = [name for pair in _DATASET_NAMES for name in pair]
    arrays = read_npz(data, limits.body_bytes, names, limits.charge)
    for images, labels in _DATASET_NAMES:
        if images in arrays and labels in arrays:
            read = images_from_array(arrays[images], images, limits)
            return _paired(read, labels_from_array(arrays[labels]))
    raise refuse("dataset", "has neither images and labels nor x_test and y_test")


def _read_array(fields: dict[str, bytes], name: str, limits: Limits) -> NDArray[Any]:
    try:
        data = gunzip(fields[name], limits.body_bytes, limits.charge)
        return read_npy(data) if data.startswith(MAGIC) else read_idx(data, limits.body_bytes)
    except Malformed as fault:
        raise Malformed(f"{name}: {fault.detail}", Flaw(None, name, fault.detail)) from None


def _paired(images: Images, labels: Labels) -> Labelled:
    if len(images) != len(labels):
        raise refuse("labels", f"{len(labels):,} labels for {len(images):,} images")
    return images, labels


_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_WAYS = ("request_id", "image", "picture")


class Feedback(NamedTuple):
    """A digit, None for no digit, of one image or of the answer to an image of a request."""

    digit: int | None
    request_id: str
    position: int
    images: Images | Pictures | None


def from_feedback(body: bytes, limits: Limits) -> Feedback:
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
