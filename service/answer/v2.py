"""Builds the answers of v2 inference from a request's probabilities.

The JSON around the numbers is always the same, so this code writes it; a serialiser converts only
the numbers and what the caller sent.
"""

from __future__ import annotations

import struct

import numpy as np
import orjson

from service.decode.v2 import InferRequest
from service.types import OUTPUT, Probabilities


def inference(
    version: str, probabilities: Probabilities, request: InferRequest
) -> tuple[bytes, int | None]:
    """Returns the body for ``probabilities`` (n, 10), and the length of its JSON.

    The length is None unless binary data follow the JSON.
    """
    shape, datatype = b"%d,10" % len(probabilities), b"FP32"
    if request.classes:
        shape, datatype = b"%d,%d" % (len(probabilities), request.classes), b"BYTES"
    tail = b""
    if request.binary:
        if request.classes:
            tail = b"".join(map(_length_prefixed, classification(probabilities, request.classes)))
        else:
            tail = probabilities.tobytes()
        content = b'"parameters":{"binary_data_size":%d}' % len(tail)
    elif request.classes:
        content = b'"data":%b' % orjson.dumps(classification(probabilities, request.classes))
    else:
        flat = np.ascontiguousarray(probabilities).reshape(-1)
        content = b'"data":%b' % orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)
    head = b'{%b"model_name":"mnist","model_version":"%b","outputs":[{%b}]}' % (
        b"" if request.id is None else b'"id":%b,' % orjson.dumps(request.id),
        version.encode(),
        b'"name":"%b","datatype":"%b","shape":[%b],%b'
        % (OUTPUT.encode(), datatype, shape, content),
    )
    return (head + tail, len(head)) if request.binary else (head, None)


def classification(probabilities: Probabilities, classes: int) -> list[str]:
    """Returns each row's most probable digits, best first, as ``value:index:label``.

    The lower of two equally probable digits comes first. Source: ``extension_classification.md`` of
    triton-inference-server/server.
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :classes]
    return [
        f"{row[digit]!s}:{digit}:{digit}"
        for row, digits in zip(probabilities, best.tolist(), strict=True)
        for digit in digits
    ]


def _length_prefixed(text: str) -> bytes:
    """Returns an element of a BYTES tensor: its length in four bytes, little-endian, and itself."""
    return struct.pack("<I", len(text)) + text.encode()
