"""Builds the answer of ``/predict`` from a run of the model.

Its JSON is always the same but for the numbers, so it is put together here; only the numbers go
through a serialiser, those of all images of a run at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from service.background.large_work import give_way
from service.inference.batch import PIECE_ROWS, BatchResult, digits
from service.types import Probabilities


def members(run: BatchResult) -> list[bytes]:
    """For each image the JSON members ``digit``, ``confidence`` and ``probabilities``.

    Numbers are written as the shortest decimals that read back to the same float32.
    """
    likeliest = run.each(digits)
    rows = np.ascontiguousarray(run.probabilities)
    # Digit by digit: a reduction of short rows takes longer.
    surest = _numbers(np.maximum.reduce(rows.T.copy())).split(b",")
    numbers = _numbers(rows)[1:-1].split(b"],[")
    return [
        b'"digit":%d,"confidence":%b,"probabilities":[%b]' % one
        for one in zip(likeliest, surest, numbers, strict=True)
    ]


def predictions(
    version: str,
    answered: Sequence[bytes],
    doubts: Sequence[Sequence[str]],
    seen: Sequence[dict[str, Any]] | None = None,
) -> bytes:
    """The JSON body, from the :func:`members` of each image and the reasons to doubt each.

    ``seen`` is what was seen, where it is to be told.
    """
    if len(answered) <= PIECE_ROWS:
        rows = _with_doubts(answered, doubts)
    else:
        rows = []
        for first in range(0, len(answered), PIECE_ROWS):
            piece = slice(first, first + PIECE_ROWS)
            rows += _with_doubts(answered[piece], doubts[piece])
            give_way()
    if seen is not None:
        rows = [
            b'%b,"seen":%b' % (row, orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY))
            for row, told in zip(rows, seen, strict=True)
        ]
    return b'{"model":"mnist","version":"%b","predictions":[{%b}]}' % (
        version.encode(),
        b"},{".join(rows),
    )


def _with_doubts(answered: Sequence[bytes], doubts: Sequence[Sequence[str]]) -> list[bytes]:
    return [
        b'%b,"doubtful":true,"doubts":%b' % (one, orjson.dumps(doubt))
        if doubt
        else b'%b,"doubtful":false,"doubts":[]' % one
        for one, doubt in zip(answered, doubts, strict=True)
    ]


def _numbers(array: Probabilities) -> bytes:
    return orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
