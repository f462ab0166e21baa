"""Builds the answer of ``/predict`` from a run's probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from service.runtime import Probabilities


def predictions(
    version: str,
    probabilities: Probabilities,
    doubts: Sequence[Sequence[str]],
    seen: list[dict[str, Any]] | None = None,
) -> tuple[bytes, list[int]]:
    """The JSON body for ``probabilities`` (n, 10), and the n digits in it.

    ``doubts`` are the reasons for doubt of each; ``seen`` is what was seen, where it is to be told.

    Numbers are written as the shortest decimals that read back to the same float32.
    """
    digits: list[int] = probabilities.argmax(axis=1).tolist()
    rows: list[dict[str, Any]] = [
        {
            "digit": digit,
            "confidence": row[digit],
            "probabilities": row,
            "doubtful": bool(doubt),
            "doubts": doubt,
        }
        for digit, row, doubt in zip(digits, probabilities, doubts, strict=True)
    ]
    if seen is not None:
        for answered, told in zip(rows, seen, strict=True):
            answered["seen"] = told
    body = orjson.dumps(
        {"model": "mnist", "version": version, "predictions": rows},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    return body, digits
