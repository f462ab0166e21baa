"""What ``/openapi.json`` says of bodies lets a caller check them before they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from service.api.schemas.operations import EVALUATE, PREDICT, READ
from service.api.schemas.protocols import V1_CLASSIFY, V1_PREDICT, V2_INFER


def alternatives(node: Any) -> Iterator[list[dict[str, Any]]]:
    """Every ``oneOf`` in a schema, of which a value must match one and no other."""
    if isinstance(node, dict):
        if "oneOf" in node:
            yield node["oneOf"]
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from alternatives(inner)


def smallest(schema: dict[str, Any]) -> dict[str, Any] | list[Any]:
    """The smallest value of a schema, as far as :func:`matches` looks."""
    if schema["type"] == "array":
        return [None] * schema.get("minItems", 0)
    return dict.fromkeys(schema.get("required", []))


def matches(value: dict[str, Any] | list[Any], schema: dict[str, Any]) -> bool:
    """Whether the keys of an object, or the length of a list, are those of the schema."""
    if isinstance(value, list):
        least, most = schema.get("minItems", 0), schema.get("maxItems", len(value))
        return schema["type"] == "array" and bool(least <= len(value) <= most)
    return schema["type"] == "object" and set(schema.get("required", [])) <= set(value)


@pytest.mark.parametrize("route", [PREDICT, READ, EVALUATE, V1_PREDICT, V1_CLASSIFY, V2_INFER])
def test_of_alternatives_each_is_told_from_the_others(route: dict[str, Any]) -> None:
    for schemas in alternatives(route["openapi_extra"]["requestBody"]):
        for schema in schemas:
            assert [other for other in schemas if matches(smallest(schema), other)] == [schema]
