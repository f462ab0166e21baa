"""Says in words why a JSON value is not an image; only ever run on what was refused."""

from __future__ import annotations

from typing import Any

from service.types import PIXELS, SIDE

EXPECTED = "28 rows of 28 or 784 numbers are expected"
_NAMES = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "a list",
    str: "a string",
    type(None): "null",
}


def name_of(value: object) -> str:
    """What kind of JSON value this is, for a message that does not echo it."""
    return _NAMES[type(value)]


def shape_flaw(image: Any) -> str | None:
    """What keeps a JSON value from being 28 lists of 28 or one list of 784 numbers, if anything."""
    if not isinstance(image, list):
        return f"is {name_of(image)}; {EXPECTED}"
    if len(image) == PIXELS:
        return _number_flaw(image, "number")
    if len(image) != SIDE:
        unit = "rows" if image and isinstance(image[0], list) else "numbers"
        return f"has {len(image):,} {unit}; {EXPECTED}"
    flaws = (_row_flaw(number, row) for number, row in enumerate(image))
    return next((flaw for flaw in flaws if flaw is not None), None)


def _row_flaw(number: int, row: Any) -> str | None:
    if not isinstance(row, list):
        return f"row {number} is {name_of(row)}; {EXPECTED}"
    if len(row) != SIDE:
        return f"row {number} has {len(row):,} numbers; {EXPECTED}"
    return _number_flaw(row, f"row {number}, column")


def _number_flaw(numbers: list[Any], place: str) -> str | None:
    if set(map(type, numbers)) <= {int, float}:
        return None
    index, value = next((i, v) for i, v in enumerate(numbers) if type(v) not in {int, float})
    return f"{place} {index} is {name_of(value)}; a number from 0 to 255 is expected"
