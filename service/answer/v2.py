"""Builds the answers of v2 inference; a serialiser converts only numbers and the caller's text."""

import struct

import numpy as np
import orjson

from service.decode.v2 import InferRequest
from service.types import OUTPUT, Probabilities


def inference(
    version: str, probabilities: Probabilities, request: InferRequest
) -> tuple[bytes, int | None]:
    """Returns the body, and the length of its JSON; None unless binary data follow the JSON."""
    shape, datatype, labels = b"%d,10" % len(probabilities), b"FP32", list[str]()
    if request.classes:
        shape, datatype = b"%d,%d" % (len(probabilities), request.classes), b"BYTES"
        labels = classification(probabilities, request.classes)
    tail = b""
    if request.binary:
        # An element of a BYTES tensor is its length in four bytes, little-endian, and itself.
        elements = (struct.pack("<I", len(label)) + label.encode() for label in labels)
        tail = b"".join(elements) if labels else probabilities.tobytes()
        content = b'"parameters":{"binary_data_size":%d}' % len(tail)
    elif labels:
        content = b'"data":%b' % orjson.dumps(labels)
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
    """Returns each row's most probable digits, best and lowest first, as ``value:index:label``."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :classes]
    return [
        f"{row[digit]!s}:{digit}:{digit}"
        for row, digits in zip(probabilities, best.tolist(), strict=True)
        for digit in digits
    ]
