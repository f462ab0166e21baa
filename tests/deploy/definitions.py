"""The definitions of the resources that KServe, Gateway API, KEDA and Prometheus' operator add."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema


def validate_custom(manifest: dict[str, Any]) -> None:
    """Raises ``jsonschema.ValidationError`` where the definition does not accept the manifest."""
    _validator(f"{manifest['apiVersion']} {manifest['kind']}").validate(manifest)


@cache
def _validator(name: str) -> Any:
    schema = _strict(_definitions()[name])
    schema["properties"]["metadata"] = {"type": "object"}  # Kubernetes' own
    return jsonschema.Draft202012Validator(schema)


@cache
def _definitions() -> Any:
    return json.loads(gzip.decompress(Path(__file__).with_suffix(".json.gz").read_bytes()))


def _strict(node: Any) -> Any:
    """Refuses unknown fields, as `kubectl apply` with strict validation does."""
    if isinstance(node, list):
        return [_strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    node = {name: _strict(value) for name, value in node.items()}
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        open_ended = node.get("x-kubernetes-preserve-unknown-fields") or not node["properties"]
        node.setdefault("additionalProperties", bool(open_ended))
    if node.get("x-kubernetes-int-or-string"):
        node["type"] = ["integer", "string"]
    return node
