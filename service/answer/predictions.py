"""Builds the answer of ``/predict``; a serialiser converts only the numbers, of a batch at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from service.background.large_work import give_way
from service.inference.batch import PIECE_ROWS, BatchResult, digits
from service.numbers.number import Digit
from service.types import Probabilities

_ANSWER = b'{"model":"mnist","version":"%b","predictions":[{%b}]}'
_SURE = b',"doubtful":false,"doubts":[]'


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
        joined = (_SURE + b"},{").join(answered) + _SURE
        return _ANSWER % (version.encode(), joined)
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


def _numbers(array: Probabilities) -> bytes:
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
