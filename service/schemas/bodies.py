"""What the service's own endpoints read."""

from __future__ import annotations

from typing import Any

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PIXEL = {"type": "number", "minimum": 0, "maximum": 255}
_IMAGE: dict[str, Any] = {
    "description": "28 rows of 28 pixels, or 784 pixels; 0 is background, 255 full ink.",
    "oneOf": [
        {
            "type": "array",
            "minItems": 28,
            "maxItems": 28,
            "items": {"type": "array", "minItems": 28, "maxItems": 28, "items": _PIXEL},
        },
        {"type": "array", "minItems": 784, "maxItems": 784, "items": _PIXEL},
    ],
}
_IMAGES = {"type": "array", "minItems": 1, "items": _IMAGE}


def _pictures(**bounds: int) -> dict[str, Any]:
    """The schema of ``{"pictures": ["base64", ...]}``."""
    pictures = {
        "type": "array",
        "minItems": 1,
        **bounds,
        "items": {"type": "string", "contentEncoding": "base64"},
    }
    return {
        "type": "object",
        "required": ["pictures"],
        "properties": {"pictures": pictures},
        "additionalProperties": False,
    }


PREDICT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [
                    {
                        "type": "object",
                        "required": ["images"],
                        "properties": {"images": _IMAGES},
                        "additionalProperties": False,
                    },
                    _pictures(),
                ]
            }
        },
        "application/octet-stream": {**_BINARY, "x-description": "n * 784 bytes, row by row"},
        "application/x-npy": _BINARY,
        "image/*": _BINARY,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {"type": "array", "items": {"type": "string", "format": "binary"}}
                },
            }
        },
    },
}
READ_BODY = {
    "required": True,
    "content": {kind: PREDICT_BODY["content"][kind] for kind in ("image/*", "multipart/form-data")}
    | {"application/json": {"schema": _pictures(maxItems=1)}},
}
EVALUATE_BODY = {
    "required": False,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["images", "labels"],
                "properties": {
                    "images": _IMAGES,
                    "labels": {
                        "type": "array",
                        "items": {"type": "integer", "minimum": 0, "maximum": 9},
                    },
                },
                "additionalProperties": False,
            }
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "images": {"type": "string", "format": "binary"},
                    "labels": {"type": "string", "format": "binary"},
                    "dataset": {"type": "string", "format": "binary"},
                },
            }
        },
    },
}
