"""What ``/openapi.json`` says of bodies lets a caller check them before they are sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from service.api.pages import describe
from service.api.routing import EndpointRoute
from service.app import create_app
from service.errors import Fault
from service.settings import Settings

APP = create_app(Settings())
DOCUMENT = describe(APP)
OPERATIONS = {
    f"{method} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
WITH_BODY = [name for name, operation in OPERATIONS.items() if "requestBody" in operation]


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


def test_every_path_that_is_served_is_described_with_its_parameters() -> None:
    routes = [route for route in APP.routes if isinstance(route, EndpointRoute)]
    served = {f"{verb.lower()} {route.path}" for route in routes for verb in route.verbs}
    assert served == set(OPERATIONS)
    assert len(served) > 40
    for name, operation in OPERATIONS.items():
        names = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
        assert sorted(names) == sorted(re.findall(r"{(\w+)}", name)), name


@pytest.mark.parametrize("name", WITH_BODY)
def test_every_status_of_a_request_with_a_body_is_described(name: str) -> None:
    statuses = set(OPERATIONS[name]["responses"])
    assert {"200", "400", "404", "408", "413", "414", "431", "503"} <= statuses
    if "repository" not in name:
        assert {"415", "429", "500", "504"} <= statuses
    if not name.startswith(("post /v1", "post /v2")):
        assert "422" in statuses


def test_every_kind_of_fault_is_described_somewhere() -> None:
    described = {status for operation in OPERATIONS.values() for status in operation["responses"]}
    statuses = {str(kind.status) for kind in Fault.__subclasses__()}
    assert statuses | {str(Fault.status)} <= described


def test_references_lead_somewhere_and_operations_have_their_own_ids() -> None:
    names = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DOCUMENT)))
    assert {"Predictions", "Problem", "ErrorAnswer"} <= names
    assert names <= set(DOCUMENT["components"]["schemas"])
    assert len({operation["operationId"] for operation in OPERATIONS.values()}) == len(OPERATIONS)
    assert DOCUMENT["openapi"].startswith("3.")


def test_the_formats_of_images_and_of_pictures_are_described() -> None:
    assert set(OPERATIONS["post /predict"]["requestBody"]["content"]) == {
        *("application/json", "application/octet-stream", "application/x-npy", "image/*"),
        "multipart/form-data",
    }
    for path in ("datasets/mnist-test/images/{index}", "models/mnist/versions/{version}/{picture}"):
        answer = OPERATIONS[f"get /{path}.png"]["responses"]["200"]
        assert answer["content"] == {"image/png": {}}


@pytest.mark.parametrize("name", WITH_BODY)
def test_of_alternatives_each_is_told_from_the_others(name: str) -> None:
    """A value of the smallest form of one alternative matches no other."""
    for schemas in alternatives(OPERATIONS[name]["requestBody"]):
        for schema in schemas:
            assert [other for other in schemas if matches(smallest(schema), other)] == [schema]
    assert len(list(alternatives(DOCUMENT["paths"]))) >= 4
