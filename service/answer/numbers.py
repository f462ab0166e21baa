"""Builds the answer of ``/read`` from the digits that were read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.numbers.number import Digit


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
