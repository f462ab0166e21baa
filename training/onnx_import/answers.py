"""The forms in which classifiers answer, and how each becomes probabilities: array and nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.types import Probabilities
from training.onnx_import.options import Answer
from training.onnx_import.pixels import Chain

# Half precision keeps three digits.
NEAR = 1e-2
# Keeps ten scores of 0 from being divided by their sum; less than any probability that is told.
LEAST_SCORE = 1e-7


def recognise(values: NDArray[Any]) -> Answer:
    """What rows of ten numbers (n, 10) are.

    ``scores`` are each from 0 to 1 but do not sum to 1: ten sigmoids.
    """
    lowest, highest = float(values.min()), float(values.max())
    if lowest >= -NEAR and highest <= 1 + NEAR:
        sums = values.sum(axis=1)
        return "probabilities" if bool((np.abs(sums - 1) <= NEAR).all()) else "scores"
    if highest <= NEAR and bool((np.abs(np.exp(values).sum(axis=1) - 1) <= NEAR).all()):
        return "log-probabilities"
    return "logits"


def to_probabilities(values: NDArray[Any], answer: Answer) -> Probabilities:
    """Rows of ten numbers (n, 10) as probabilities (n, 10) float32 that sum to 1."""
    rows: NDArray[np.float32] = values.astype(np.float32)
    if answer in ("probabilities", "scores"):
        rows = np.maximum(rows, np.float32(0))
        if answer == "scores":
            rows = rows + np.float32(LEAST_SCORE)
    else:
        rows = np.exp(rows - rows.max(axis=1, keepdims=True))
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def add_nodes(chain: Chain, answer: Answer, output: str) -> None:
    """Adds the same to a chain of nodes that ends with float32 [batch, 10]."""
    if answer in ("probabilities", "scores"):
        chain.add("Relu", chain.end)
        if answer == "scores":
            chain.add("Add", chain.end, chain.constant(LEAST_SCORE))
        rows = chain.end
        chain.add("Div", rows, chain.sum(rows, [1]), output=output)
    else:
        # Logarithms of probabilities are logits too.
        chain.add("Softmax", chain.end, axis=1, output=output)
