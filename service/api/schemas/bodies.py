"""What the service's own endpoints read."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from service.imaging.preview import encode_png
from service.types import SIDE

_PIXEL = {"type": "number", "minimum": 0, "maximum": 255}
_IMAGE: dict[str, Any] = {
    "description": "28 rows of 28 pixels, or 784 pixels; 0 is background, 255 full ink. Fractions "
    "are rounded. What looks scaled, its largest value being above 0 and at most 1, is refused.",
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


def _one() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """A digit to try out: an upright bar in MNIST's form, (28, 28)."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[4:24, 12:15] = 255
    return image


_A_PICTURE = {
    "summary": "picture files in base64",
    "value": {"pictures": [base64.b64encode(encode_png(_one())).decode()]},
}
_AN_IMAGE = {"summary": "images of 784 pixels", "value": {"images": [_one().ravel().tolist()]}}


def _file(description: str) -> dict[str, Any]:
    return {"schema": {"type": "string", "format": "binary", "description": description}}


def _pictures(**bounds: int) -> dict[str, Any]:
    """The schema of ``{"pictures": ["base64", ...]}``."""
    picture = {
        "type": "string",
        "contentEncoding": "base64",
        "description": "A picture file in base64 (RFC 4648, section 4), without line breaks; "
        "`data:image/...;base64,` may stand in front.",
    }
    return {
        "type": "object",
        "required": ["pictures"],
        "properties": {"pictures": {"type": "array", "minItems": 1, **bounds, "items": picture}},
        "additionalProperties": False,
    }


def _form(description: str, **bounds: int) -> dict[str, Any]:
    """The schema of a form with picture files."""
    file = {"type": "string", "format": "binary"}
    files = {"type": "array", "minItems": 1, **bounds, "items": file}
    return {
        "schema": {
            "type": "object",
            "required": ["files"],
            "properties": {"files": files},
            "description": description,
        }
    }


def _body(content: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A request's body; its page shows of most schemas nothing but what is told here."""
    told = [f"- `{kind}`: {content[kind]['schema']['description']}" for kind in content]
    return {"required": True, "description": "\n".join(told), "content": content}


_PICTURE = _file(
    "a PNG, JPEG, WebP, BMP, GIF or TIFF, of several frames the first; the content decides which"
)
PREDICT_BODY = _body(
    {
        "application/json": {
            "schema": {
                "description": '`{"images": [image, ...]}`, or `{"pictures": ["base64", ...]}`',
                "oneOf": [
                    {
                        "type": "object",
                        "required": ["images"],
                        "properties": {"images": _IMAGES},
                        "additionalProperties": False,
                    },
                    _pictures(),
                ],
            },
            "examples": {"images": _AN_IMAGE, "pictures": _A_PICTURE},
        },
        "application/octet-stream": _file("n * 784 bytes, image after image, row by row"),
        "application/x-npy": _file(
            "an array [28,28], [784], [n,28,28], [n,784] or [n,28,28,1] of integers or floats"
        ),
        "image/*": _PICTURE,
        "multipart/form-data": _form("picture files in the field `files`, answered all or none"),
    }
)
READ_BODY = _body(
    {
        "application/json": {
            "schema": {"description": '`{"pictures": ["base64"]}`', **_pictures(maxItems=1)},
            "examples": {"pictures": _A_PICTURE},
        },
        "image/*": _PICTURE,
        "multipart/form-data": _form("one picture file in the field `files`", maxItems=1),
    }
)
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
