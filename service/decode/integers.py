"""JSON lists of whole numbers from 0 to 255 to bytes, and what is wrong with the v2 type UINT8."""

from __future__ import annotations

from itertools import chain
from typing import Any

from service.decode.diagnosis import name_of, shape_flaw
from service.decode.v2_fields import shown
from service.decode.validation import refuse
from service.types import PIXELS, SIDE


def pack_images(images: list[Any], *, booleans: bool) -> bytes | None:
    """The numbers of images that all are 28 lists of 28, or all lists of 784; None for others.

    They are whole and from 0 to 255. ``booleans`` says whether the lists may hold true or false,
    which are no numbers.
    """
    try:
        if set(map(len, images)) == {SIDE}:
            return _pack_rows(list(chain.from_iterable(images)), SIDE, booleans)
        return _pack_rows(images, PIXELS, booleans)
    except (TypeError, ValueError):
        return None


def pack_integers(data: Any, field: str, *, booleans: bool) -> bytes:
    """The numbers of a flat list, or of images as :func:`pack_images` takes them, in their order.

    Raises :class:`Invalid`, naming the first that is no whole number from 0 to 255, or what keeps
    the first list that is no image from being one.
    """
    if not isinstance(data, list):
        raise refuse(None, field, f"data is {name_of(data)}; a list is expected")
    if data and type(data[0]) is list:
        packed = pack_images(data, booleans=booleans)
        if packed is None:
            raise refuse(None, field, _images_flaw(data))
        return packed
    try:
        return _pack_rows([data], len(data), booleans)
    except (TypeError, ValueError):
        raise refuse(None, field, _number_flaw(data, "data")) from None


def _pack_rows(rows: list[Any], width: int, booleans: bool) -> bytes:
    """The numbers of lists of this length; TypeError or ValueError where they are anything else."""
    if set(map(type, rows)) != {list} or set(map(len, rows)) != {width}:
        raise TypeError
    if booleans and bool in set(map(type, chain.from_iterable(rows))):
        raise TypeError
    return b"".join(map(bytes, rows))  # refuses all but whole numbers from 0 to 255


def _images_flaw(data: list[Any]) -> str:
    """What is wrong with the first image that is; only run on what was refused."""
    for index, image in enumerate(data):
        place = f"data[{index}]"
        if flaw := shape_flaw(image):
            return f"{place} {flaw}"
        for number, row in enumerate(image if len(image) == SIDE else [image]):
            row_place = f"{place}[{number}]" if row is not image else place
            if flaw := _number_flaw(row, row_place):
                return flaw
    return "data mixes images of 28 rows and of 784 numbers"


def _number_flaw(numbers: list[Any], place: str) -> str:
    for index, value in enumerate(numbers):
        if type(value) is int and 0 <= value <= 255:
            continue
        told = shown(value) if type(value) in {int, float} else name_of(value)
        return f"{place}[{index}] is {told}; UINT8 takes whole numbers from 0 to 255"
    return ""
