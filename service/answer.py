"""Builds the answer of ``/predict`` from a run's probabilities."""

from __future__ import annotations

import orjson

from service.runtime import Probabilities


def predictions(
    version: str, probabilities: Probabilities, doubts: list[list[str]]
) -> tuple[bytes, list[int]]:
    """The JSON body for ``probabilities`` (n, 10), and the n digits in it.

    Numbers are written as the shortest decimals that read back to the same float32.
    """
    digits: list[int] = probabilities.argmax(axis=1).tolist()
    rows = [
        {
            "digit": digit,
            "confidence": row[digit],
            "probabilities": row,
            "doubtful": bool(doubt),
            "doubts": doubt,
        }
        for digit, row, doubt in zip(digits, probabilities, doubts, strict=True)
    ]
    body = orjson.dumps(
        {"model": "mnist", "version": version, "predictions": rows},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    return body, digits
