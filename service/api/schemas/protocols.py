"""What FastAPI is told of the endpoints of ``/v1`` and ``/v2``: what their protocols lay down."""

from __future__ import annotations

from typing import Any

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "one sentence"}},
}
_FAULTS = {
    400: "The bytes are not what they say, or they are well-formed but wrong.",
    404: "There is no such model, version or label.",
    408: "The body did not arrive in time.",
    413: "Too many bytes or images.",
    415: "A Content-Encoding that is not read here.",
    429: "The queue is full; see Retry-After.",
    503: "Not ready, or stopping; see Retry-After.",
    504: "Past the deadline.",
}
_IMAGE = {
    "description": "An image: 28 rows of 28 pixels, 784 pixels, or its 784 raw bytes in base64.",
    "oneOf": [
        {"type": "array", "items": {}},
        {
            "type": "object",
            "required": ["b64"],
            "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
        },
        {"type": "object", "required": ["image"], "properties": {"image": {}}},
    ],
}
_IMAGES = {"type": "array", "minItems": 1, "items": _IMAGE}
_ROW = {"type": "array", "items": {"type": "number"}, "minItems": 10, "maxItems": 10}
_SIGNATURE = {"type": "string", "enum": ["serving_default", ""]}
_PARAMETERS = {"type": "object", "additionalProperties": True}
_BINARY_LENGTH = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "required": False,
    "description": "Bytes of JSON before the tensors; 0 where the body is one image of 784 bytes.",
    "schema": {"type": "integer", "minimum": 0},
}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _list_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _options(
    tag: str,
    answer: dict[str, Any],
    faults: tuple[int, ...],
    body: dict[str, Any] | None = None,
    *,
    octets: bool = False,
) -> dict[str, Any]:
    """FastAPI's options for a route; ``octets`` is for those that also take and give bytes."""
    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    more = binary if octets else {}
    errors = {"application/json": {"schema": _ERROR}}
    responses: dict[int | str, Any] = {
        status: {"description": _FAULTS[status], "content": errors} for status in faults
    }
    content = {"application/json": {"schema": answer}, **more}
    responses[200] = {"description": "The answer.", "content": content}
    options: dict[str, Any] = {"tags": [tag], "responses": responses}
    if body is not None:
        content = {"application/json": {"schema": body}, **more}
        options["openapi_extra"] = {"requestBody": {"content": content}}
        if octets:
            options["openapi_extra"]["parameters"] = [_BINARY_LENGTH]
    return options


_BODY_FAULTS = (400, 404, 408, 413, 415, 429, 503, 504)
_TENSOR = _object(
    ("name", "shape", "datatype"),
    name={"type": "string"},
    shape=_list_of({"type": "integer"}),
    datatype={"type": "string"},
    parameters=_PARAMETERS,
    data=_list_of({}),
)
V2_INFER = _options(
    "v2",
    _object(
        model_name={"type": "string"},
        model_version={"type": "string"},
        id={"type": "string"},
        outputs=_list_of(_TENSOR),
    ),
    _BODY_FAULTS,
    _object(
        ("inputs",),
        id={"type": "string"},
        parameters=_PARAMETERS,
        inputs=_list_of(_TENSOR),
        outputs=_list_of(
            _object(("name",), name={"type": "string"}, parameters=_PARAMETERS),
        ),
    ),
    octets=True,
)
V2_SHOWS = _options("v2", _object(), ())
V2_STATE = _options("v2", _object(), (503,))
V2_INDEX = _options("v2", _list_of(_object()), (400,), _object(ready={"type": "boolean"}))
V2_CHANGES = _options("v2", _object(), (400, 404, 503), _object(parameters=_PARAMETERS))
V1_SHOWS = _options("v1", _object(), ())
V1_PREDICT = _options(
    "v1",
    _object(predictions=_list_of(_ROW), outputs=_list_of(_ROW)),
    _BODY_FAULTS,
    _object(signature_name=_SIGNATURE, instances=_IMAGES, inputs={}),
)
V1_CLASSIFY = _options(
    "v1",
    _object(results=_list_of(_list_of(_list_of({})))),
    _BODY_FAULTS,
    _object(("examples",), signature_name=_SIGNATURE, context=_object(), examples=_IMAGES),
)
