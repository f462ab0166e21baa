"""What the endpoints read, as JSON Schema: the service's own bodies, then those of /v1 and /v2."""

import base64
from typing import Any

import numpy as np

from service.imaging.preview import encode_png
from service.types import SIDE

Schema = dict[str, Any]


def _list_of(item: Schema, **bounds: int) -> Schema:
    return {"type": "array", **bounds, "items": item}


def _exactly(count: int, item: Schema) -> Schema:
    return _list_of(item, minItems=count, maxItems=count)


def _object(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


def _only(**properties: Schema) -> Schema:
    """The schema of an object that has all of these properties and no other."""
    return {**_object(*properties, **properties), "additionalProperties": False}


def _bytes(**more: str) -> Schema:
    return {"type": "string", "format": "binary", **more}


_PIXEL = {"type": "number", "minimum": 0, "maximum": 255}
_IMAGES = _list_of(
    {
        "description": "28 rows of 28 pixels, or 784 pixels; 0 is background, 255 full ink. "
        "Fractions are rounded. An image whose largest value is above 0 and at most 1 looks scaled "
        "and is rejected.",
        "oneOf": [_exactly(28, _exactly(28, _PIXEL)), _exactly(784, _PIXEL)],
    },
    minItems=1,
)
_IN_BASE64 = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "A picture file in base64 (RFC 4648, section 4), without line breaks; "
    "`data:image/...;base64,` may stand in front.",
}
_PICTURE = _bytes(
    description="the first frame of a PNG, JPEG, WebP, BMP, GIF or TIFF; the content decides which"
)
_ONE = np.zeros((SIDE, SIDE), np.uint8)
_ONE[4:24, 12:15] = 255
_PNG = base64.b64encode(encode_png(_ONE)).decode()
_A_PICTURE = {"summary": "picture files in base64", "value": {"pictures": [_PNG]}}
_AN_IMAGE = {"summary": "images of 784 pixels", "value": {"images": [_ONE.ravel().tolist()]}}


def _form(description: str, **bounds: int) -> Schema:
    files = _list_of(_bytes(), minItems=1, **bounds)
    return {**_object("files", files=files), "description": description}


def _body(json: Schema, examples: Schema, **others: Schema) -> Schema:
    """A body in JSON or one of the ``others``; its description lists those of its schemas."""
    kinds = {"application/json": {"schema": json, "examples": examples}}
    kinds |= {kind: {"schema": schema} for kind, schema in others.items()}
    lines = [f"- `{kind}`: {kinds[kind]['schema']['description']}" for kind in kinds]
    return {"required": True, "description": "\n".join(lines), "content": kinds}


PREDICT_BODY = _body(
    {
        "description": '`{"images": [image, ...]}`, or `{"pictures": ["base64", ...]}`',
        "oneOf": [_only(images=_IMAGES), _only(pictures=_list_of(_IN_BASE64, minItems=1))],
    },
    {"images": _AN_IMAGE, "pictures": _A_PICTURE},
    **{
        "application/octet-stream": _bytes(description="n images of 784 bytes, row by row"),
        "application/x-npy": _bytes(
            description="numbers [28,28], [784], [n,28,28], [n,784] or [n,28,28,1]"
        ),
        "image/*": _PICTURE,
        "multipart/form-data": _form("picture files in the field `files`, answered all or none"),
    },
)
EXPLAIN_BODY = {**PREDICT_BODY, "description": f"One image.\n\n{PREDICT_BODY['description']}"}
READ_BODY = _body(
    {"description": '`{"pictures": ["base64"]}`', **_only(pictures=_exactly(1, _IN_BASE64))},
    {"pictures": _A_PICTURE},
    **{
        "image/*": _PICTURE,
        "multipart/form-data": _form("one picture file in the field `files`", maxItems=1),
    },
)
_LABELS = _list_of({"type": "integer", "minimum": 0, "maximum": 9})
_EVALUATED = _object(images=_bytes(), labels=_bytes(), dataset=_bytes())
EVALUATE_BODY = {
    "required": False,
    "content": {
        "application/json": {"schema": _only(images=_IMAGES, labels=_LABELS)},
        "multipart/form-data": {"schema": _EVALUATED},
    },
}

_DIGIT = {"type": ["integer", "null"], "minimum": 0, "maximum": 9, "description": "null: no digit"}
_OF_ANSWER = _object(
    *("digit", "request_id"),
    digit=_DIGIT,
    request_id={"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    index={"type": "integer", "minimum": 0, "default": 0},
)
FEEDBACK_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [
                    {**_OF_ANSWER, "additionalProperties": False},
                    _only(digit=_DIGIT, image=_IMAGES["items"]),
                    _only(digit=_DIGIT, picture=_IN_BASE64),
                ]
            },
            "examples": {"of an image": {"value": {"digit": 1, "picture": _PNG}}},
        }
    },
}
REVIEW_BODY = {
    "required": True,
    "content": {"application/json": {"schema": _only(digit=_DIGIT)}},
}

_EXAMPLES = _list_of(
    {
        "description": "An image: 28 rows of 28 pixels, 784 pixels, or 784 bytes in base64.",
        "oneOf": [
            _list_of({}),
            _object("b64", b64={"type": "string", "contentEncoding": "base64"}),
            _object("image", image={}),
        ],
    },
    minItems=1,
)
_STRING = {"type": "string"}
_SIGNATURE = {"type": "string", "enum": ["serving_default", ""]}
_PARAMETERS = {"type": "object", "additionalProperties": True}
_INPUT_TENSOR = _object(
    *("name", "shape", "datatype"),
    name=_STRING,
    shape=_list_of({"type": "integer"}),
    datatype=_STRING,
    parameters=_PARAMETERS,
    data=_list_of({}),
)
_INFER = _object(
    "inputs",
    id=_STRING,
    parameters=_PARAMETERS,
    inputs=_list_of(_INPUT_TENSOR),
    outputs=_list_of(_object("name", name=_STRING, parameters=_PARAMETERS)),
)
OCTETS_BODY = {"application/octet-stream": {"schema": _bytes()}}


def _protocol_body(schema: Schema, **more: Schema) -> Schema:
    return {"requestBody": {"content": {"application/json": {"schema": schema}, **more}}}


V2_INFER = _protocol_body(_INFER, **OCTETS_BODY)
V2_INDEX = _protocol_body(_object(ready={"type": "boolean"}))
V2_CHANGE = _protocol_body(_object(parameters=_PARAMETERS))
V1_PREDICT = _protocol_body(_object(signature_name=_SIGNATURE, instances=_EXAMPLES, inputs={}))
V1_CLASSIFY = _protocol_body(
    _object("examples", signature_name=_SIGNATURE, context=_object(), examples=_EXAMPLES)
)
