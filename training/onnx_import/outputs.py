"""The outputs of classifiers, and how to turn each into probabilities: as array and as nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.types import Probabilities
from training.onnx_import.graphs import Chain
from training.onnx_import.options import Answer

# Rounding in float32, and in the 8 bits of a quantized output.
NEAR = 1e-2
# Avoids 0 / 0 for ten scores of 0; below every probability that the service reports.
LEAST_SCORE = 1e-7


def recognise(values: NDArray[Any]) -> Answer:
    """Returns what rows of ten numbers (n, 10) are.

    ``scores`` are numbers from 0 to 1 that do not sum to 1: the outputs of ten sigmoids.
    """
    lowest, highest = float(values.min()), float(values.max())
    if lowest >= -NEAR and highest <= 1 + NEAR:
        sums = values.sum(axis=1)
        return "probabilities" if bool((np.abs(sums - 1) <= NEAR).all()) else "scores"
    if highest <= NEAR and bool((np.abs(np.exp(values).sum(axis=1) - 1) <= NEAR).all()):
        return "log-probabilities"
    return "logits"


def to_probabilities(values: NDArray[Any], answer: Answer) -> Probabilities:
    """Converts rows of ten numbers (n, 10) to probabilities (n, 10) float32 that sum to 1."""
    rows: NDArray[np.float32] = values.astype(np.float32)
    if answer in ("probabilities", "scores"):
        rows = np.maximum(rows, np.float32(0))
        if answer == "scores":
            rows = rows + np.float32(LEAST_SCORE)
    else:  # logarithms of probabilities are logits too
        rows = np.exp(rows - rows.max(axis=1, keepdims=True))
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def add_nodes(chain: Chain, answer: Answer) -> None:
    """Adds the same computation to a chain that ends with float32 [batch, 10]."""
    if answer in ("probabilities", "scores"):
        chain.add("Relu", chain.end)
        if answer == "scores":
            chain.add("Add", chain.end, chain.constant(LEAST_SCORE))
        chain.add("LpNormalization", chain.end, axis=1, p=1)
    else:
        chain.add("Softmax", chain.end)
