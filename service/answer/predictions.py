"""Builds the bodies of answers; a serialiser converts only the numbers, of a batch at once."""

import re
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from service.background.large_work import give_way
from service.decode.v2 import InferRequest
from service.inference.batch import PIECE_ROWS, BatchResult, digits
from service.numbers.number import Digit
from service.types import OUTPUT, Probabilities

_ANSWER = b'{"model":"mnist","version":"%b","predictions":[{%b}]}'
_SURE = b',"doubtful":false,"doubts":[]'
LEAST_BYTES = 1024  # to compress a smaller answer costs more than it saves
_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_ACCEPTED = re.compile(r"\s*([^\s;,]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d*)?)\s*)?(?:,|$)")


def members(batch: BatchResult) -> list[bytes]:
    """Returns each image's JSON members ``digit``, ``confidence`` and ``probabilities``."""
    rows = np.ascontiguousarray(batch.probabilities)
    # Reduced over digits: numpy reduces many short rows five times as slowly.
    largest = _numbers(np.maximum.reduce(rows.T.copy())).split(b",")
    numbers = _numbers(rows)[1:-1].split(b"],[")
    return [
        b'"digit":%d,"confidence":%b,"probabilities":[%b]' % one
        for one in zip(batch.each(digits), largest, numbers, strict=True)
    ]


def predictions(
    version: str,
    answered: Sequence[bytes],
    doubts: Sequence[Sequence[str]],
    further: Sequence[dict[str, Any]] | None = None,
) -> bytes:
    """Returns the JSON body, from each image's :func:`members`, doubts and ``further`` members."""
    if further is None and not any(doubts):
        return _ANSWER % (version.encode(), (_SURE + b"},{").join(answered) + _SURE)
    rows: list[bytes] = []
    for first in range(0, len(answered), PIECE_ROWS):
        if first:
            give_way()
        piece = slice(first, first + PIECE_ROWS)
        rows += [
            b'%b,"doubtful":true,"doubts":%b' % (one, orjson.dumps(doubt)) if doubt else one + _SURE
            for one, doubt in zip(answered[piece], doubts[piece], strict=True)
        ]
    if further is not None:
        rows = [
            b"%b,%b" % (row, orjson.dumps(one, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
            for row, one in zip(rows, further, strict=True)
        ]
    return _ANSWER % (version.encode(), b"},{".join(rows))


def _numbers(array: Any) -> bytes:
    return orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


def answer(lines: Sequence[Sequence[Digit]], probabilities: bool = False) -> dict[str, object]:
    """Returns the JSON values of the answer for lines of digits from top to bottom."""
    return {
        "text": "\n".join("".join(str(digit.digit) for digit in line) for line in lines),
        "digits": [
            {"digit": one.digit, "confidence": np.float32(one.confidence), "box": list(one.box)}
            | ({"probabilities": one.probabilities} if probabilities else {})
            for line in lines
            for one in line
        ],
    }


LABELS = tuple("0123456789")
_KEYS = {"instances": "predictions", "inputs": "outputs", "examples": "results"}


def of_rows(probabilities: Probabilities, field: str, **further: list[dict[str, Any]]) -> bytes:
    """Returns the body of an answer to images in a ``field``: for each image 10 numbers.

    For ``examples`` they are the list of ``[label, score]``.
    """
    parts = list[bytes]()
    for first in range(0, len(probabilities), PIECE_ROWS):
        rows: Any = np.ascontiguousarray(probabilities[first : first + PIECE_ROWS])
        if field == "examples":
            rows = [[[label, p] for label, p in zip(LABELS, row, strict=True)] for row in rows]
        parts.append(_numbers(rows))
        give_way()
    answer = {_KEYS[field]: orjson.Fragment(b"[%b]" % b",".join(parts)), **further}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def inference(
    version: str, probabilities: Probabilities, request: InferRequest
) -> tuple[bytes, int | None]:
    """Returns the body, and the length of its JSON; None unless binary data follow the JSON."""
    shape, datatype, labels = (len(probabilities), request.classes or 10), "FP32", list[str]()
    if request.classes:
        datatype, labels = "BYTES", classification(probabilities, request.classes)
    output: dict[str, Any] = {"name": OUTPUT, "datatype": datatype, "shape": shape}
    tail = b""
    if request.binary:
        tail = bytes_elements(labels) if labels else probabilities.tobytes()
        output["parameters"] = {"binary_data_size": len(tail)}
    else:
        output["data"] = labels or np.ascontiguousarray(probabilities).reshape(-1)
    answer = {"model_name": "mnist", "model_version": version, "outputs": [output]}
    if request.id is not None:
        answer = {"id": request.id, **answer}
    head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return (head + tail, len(head)) if request.binary else (head, None)


def bytes_elements(labels: list[str]) -> bytes:
    """Returns the content of a BYTES tensor: before each element its length in four bytes."""
    return b"".join(struct.pack("<I", len(label)) + label.encode() for label in labels)


def classification(probabilities: Probabilities, classes: int) -> list[str]:
    """Returns each row's most probable digits, best and lowest first, as ``value:index:label``."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :classes]
    return [
        f"{row[digit]!s}:{digit}:{digit}"
        for row, digits in zip(probabilities, best.tolist(), strict=True)
        for digit in digits
    ]


def encoding(accept_encoding: str | None) -> str | None:
    """Returns ``gzip``, or ``deflate`` where that alone is accepted (RFC 9110, 12.5.3), or None."""
    accepted = _ACCEPTED.findall((accept_encoding or "").lower())
    weights = {name: float(weight or 1) for name, weight in accepted}
    anything = weights.get("*", 0.0)
    return next((name for name in _WINDOW_BITS if weights.get(name, anything) > 0), None)


def compress(body: bytes, encoding: str) -> bytes:
    """Returns the body in an :func:`encoding`."""
    deflater = zlib.compressobj(1, zlib.DEFLATED, _WINDOW_BITS[encoding])
    return deflater.compress(body) + deflater.flush()
