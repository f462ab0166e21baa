"""Reads the fields of a v2 request's JSON objects, naming what is wrong with one."""

from __future__ import annotations

from typing import Any

import orjson

from service.decode.diagnosis import name_of
from service.decode.validation import refuse

_SHARED_MEMORY = "shared_memory_region"


def parameters(owner: dict[str, Any], place: str) -> dict[str, Any]:
    """The object under ``parameters``, or an empty one. ``place`` is the owner's name."""
    found = owner.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise refuse(None, place, f"parameters is {name_of(found)}; an object is expected")
    if _SHARED_MEMORY in found:
        raise refuse(None, place, f"{_SHARED_MEMORY}: shared memory is not offered here")
    return found


def typed(owner: dict[str, Any], name: str, kind: type, expected: str, place: str) -> Any:
    """The value under ``name``, which is of this very type, or None where there is none."""
    value = owner.get(name)
    if value is not None and type(value) is not kind:
        raise refuse(None, place, f"{name} is {shown(value)}; {expected} is expected")
    return value


def flag(owner: dict[str, Any], name: str, place: str) -> bool:
    """The value under ``name``, true or false, and false where there is none."""
    return typed(owner, name, bool, "true or false", place) or False


def only(owner: dict[str, Any], field: str, known: str) -> dict[str, Any] | None:
    """The one tensor in the list under ``field``, or None where there is none.

    Raises Invalid for another than the one that the model has, whose name is ``known``.
    """
    tensors = owner.get(field)
    if tensors is None:
        return None
    if not isinstance(tensors, list) or not all(isinstance(tensor, dict) for tensor in tensors):
        raise refuse(None, field, f'a list with one tensor, "{known}", is expected')
    for tensor in tensors:
        name = tensor.get("name")
        if name != known:
            raise refuse(None, field, f'there is no {shown(name)}; the model has "{known}"')
    if len(tensors) > 1:
        raise refuse(None, field, f'"{known}" is given {len(tensors)} times')
    return tensors[0] if tensors else None


def shown(value: Any) -> str:
    """A JSON value for a message, cut where it is long."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
