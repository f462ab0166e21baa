"""What the endpoints read, as JSON Schema: the service's own bodies, then those of /v1 and /v2."""

import base64
from typing import Any

import numpy as np

from service.imaging.load import encode_png
from service.types import PIXELS, SIDE

Schema = dict[str, Any]


def _list_of(item: Schema, least: int, most: int | None = None) -> Schema:
    bounds = {"minItems": least} if most is None else {"minItems": least, "maxItems": most}
    return {"type": "array", **bounds, "items": item}


def _object(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


def _only(*optional: str, **properties: Schema) -> Schema:
    """An object with these properties and no other; all but the ``optional`` ones are required."""
    required = [name for name in properties if name not in optional]
    return {**_object(*required, **properties), "additionalProperties": False}


def _body(json: Schema, examples: Schema | None = None, **others: Schema) -> Schema:
    """A body in JSON or one of the ``others``, as FastAPI adds it to an operation."""
    content = {"application/json": {"schema": json, "examples": examples or {}}}
    content |= {kind: {"schema": schema} for kind, schema in others.items()}
    return {"requestBody": {"content": content}}


def _bytes(description: str) -> Schema:
    return {**_BYTES, "description": description}


_BYTES = {"type": "string", "format": "binary"}
_BASE64 = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "A picture file in base64, without line breaks; `data:image/...;base64,` may "
    "stand in front.",
}
_PIXEL = {"type": "number", "minimum": 0, "maximum": 255}
_IMAGE = {
    "description": "28 rows of 28 pixels, or 784; 0 is background, 255 full ink. Fractions are "
    "rounded. An image whose largest value is above 0 and at most 1 looks scaled and is rejected.",
    "oneOf": [_list_of(_list_of(_PIXEL, SIDE, SIDE), SIDE, SIDE), _list_of(_PIXEL, PIXELS, PIXELS)],
}
_ONE = np.zeros((SIDE, SIDE), np.uint8)
_ONE[4:24, 12:15] = 255
_PNG = base64.b64encode(encode_png(_ONE)).decode()
_A_PICTURE = {"pictures": {"value": {"pictures": [_PNG]}}}
_PICTURE = _bytes("the first frame of a PNG, JPEG, WebP, BMP, GIF or TIFF; the content decides")

PREDICT_BODY = _body(
    {"oneOf": [_only(images=_list_of(_IMAGE, 1)), _only(pictures=_list_of(_BASE64, 1))]},
    {"images": {"value": {"images": [_ONE.ravel().tolist()]}}, **_A_PICTURE},
    **{
        "application/octet-stream": _bytes("784 bytes an image, row by row"),
        "application/x-npy": _bytes("numbers [28,28], [784], [n,28,28], [n,784] or [n,28,28,1]"),
        "image/*": _PICTURE,
        "multipart/form-data": _object("files", files=_list_of(_BYTES, 1)),
    },
)
READ_BODY = _body(
    _only(pictures=_list_of(_BASE64, 1, 1)),
    _A_PICTURE,
    **{"image/*": _PICTURE, "multipart/form-data": _object("files", files=_list_of(_BYTES, 1, 1))},
)
_LABELS = _list_of({"type": "integer", "minimum": 0, "maximum": 9}, 1)
EVALUATE_BODY = _body(
    _only(images=_list_of(_IMAGE, 1), labels=_LABELS),
    **{"multipart/form-data": _object(images=_BYTES, labels=_BYTES, dataset=_BYTES)},
)
_DIGIT = {"type": ["integer", "null"], "minimum": 0, "maximum": 9, "description": "null: no digit"}
_OF_ANSWER = _only(
    "index",
    digit=_DIGIT,
    request_id={"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    index={"type": "integer", "minimum": 0, "default": 0},
)
_OF_IMAGE = _only(digit=_DIGIT, image=_IMAGE), _only(digit=_DIGIT, picture=_BASE64)
FEEDBACK_BODY = _body(
    {"oneOf": [_OF_ANSWER, *_OF_IMAGE]}, {"picture": {"value": {"digit": 1, "picture": _PNG}}}
)
REVIEW_BODY = _body(_only(digit=_DIGIT))

_STRING, _PARAMETERS = {"type": "string"}, {"type": "object", "additionalProperties": True}
_ROWS = _list_of(
    {
        "description": "An image: 28 rows of 28 pixels, 784 pixels, or 784 bytes in base64.",
        "oneOf": [_list_of({}, 1), _object("b64", b64=_STRING), _object("image", image={})],
    },
    1,
)
V1_PREDICT = _body(_object(signature_name=_STRING, instances=_ROWS, inputs={}))
V1_CLASSIFY = _body(_object("examples", signature_name=_STRING, context={}, examples=_ROWS))
_TENSOR = _object(
    *("name", "shape", "datatype"),
    name=_STRING,
    shape=_list_of({"type": "integer"}, 1),
    datatype=_STRING,
    parameters=_PARAMETERS,
    data=_list_of({}, 1),
)
_OUTPUT = _object("name", name=_STRING, parameters=_PARAMETERS)
OCTETS = {"application/octet-stream": _BYTES}
V2_INFER = _body(
    _object(
        "inputs",
        id=_STRING,
        parameters=_PARAMETERS,
        inputs=_list_of(_TENSOR, 1, 1),
        outputs=_list_of(_OUTPUT, 0),
    ),
    **OCTETS,
)
V2_INDEX = _body(_object(ready={"type": "boolean"}))
V2_CHANGE = _body(_object(parameters=_PARAMETERS))
