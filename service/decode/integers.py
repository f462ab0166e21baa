"""JSON lists of whole numbers from 0 to 255, flat or nested, to bytes: the v2 datatype UINT8."""

from __future__ import annotations

from itertools import chain
from typing import Any

from service.decode import PIXELS, SIDE
from service.decode.diagnose import name_of
from service.decode.flaws import refuse

_EXPECTED = "UINT8 takes whole numbers from 0 to 255"


def pack_integers(data: Any, field: str, *, booleans: bool) -> bytes:
    """The numbers of a flat list, of lists of 784, or of lists of 28 lists of 28, in their order.

    ``booleans`` says whether the lists may hold true or false. Raises :class:`Invalid`, naming
    the first that is no whole number from 0 to 255, or the first list of another length.
    """
    if not isinstance(data, list):
        raise refuse(None, field, f"data is {name_of(data)}; a list is expected")
    packed = _pack(data, booleans)
    if packed is None:
        raise refuse(None, field, f"data{_flaw(data)}")
    return packed


def _pack(data: list[Any], booleans: bool) -> bytes | None:
    try:
        rows = [data]
        if data and type(data[0]) is list:
            rows, width = data, PIXELS
            if len(data[0]) == SIDE:
                if set(map(len, data)) != {SIDE}:
                    return None
                rows, width = list(chain.from_iterable(data)), SIDE
            if set(map(type, rows)) != {list} or set(map(len, rows)) != {width}:
                return None
        if booleans and bool in set(map(type, chain.from_iterable(rows))):
            return None
        return b"".join(map(bytes, rows))  # refuses all but whole numbers from 0 to 255
    except (TypeError, ValueError):
        return None


def _flaw(data: list[Any]) -> str:
    """What is wrong with the first number or list that is; only run on what was refused."""
    if type(data[0]) is not list:
        return _number_flaw(data, "")
    for index, image in enumerate(data):
        place = f"[{index}]"
        if type(image) is not list or len(image) not in {SIDE, PIXELS}:
            return f"{place} is {_list(image)}; 28 rows of 28 or 784 numbers are expected"
        rows = image if len(image) == SIDE else [image]
        for number, row in enumerate(rows):
            row_place = f"{place}[{number}]" if rows is image else place
            if type(row) is not list or len(row) != PIXELS // len(rows):
                return f"{row_place} is {_list(row)}; {PIXELS // len(rows)} numbers are expected"
            if flaw := _number_flaw(row, row_place):
                return flaw
    return " mixes images of 28 rows and of 784 numbers"


def _number_flaw(numbers: list[Any], place: str) -> str:
    for index, value in enumerate(numbers):
        if type(value) is int and 0 <= value <= 255:
            continue
        shown = f"{value:.17g}" if type(value) in {int, float} else name_of(value)
        return f"{place}[{index}] is {shown}; {_EXPECTED}"
    return ""


def _list(value: Any) -> str:
    return f"a list of {len(value):,}" if type(value) is list else name_of(value)
