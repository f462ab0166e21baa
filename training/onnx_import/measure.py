"""Measures a model that was taken in as a trained version is, where that is soon done."""

from __future__ import annotations

from typing import Any

from training.data.loading import Dataset
from training.export.verify import LARGEST_BATCH
from training.measure.measure import measure
from training.onnx_import.pipeline import Adopted, samples

MOST_S = 300
"""What takes longer on one thread is left out: then the card has no such figures."""
TIMES, MORE = 12, 17_000
"""So many times the test images are answered, and so many images beside them."""


def fare(adopted: Adopted, dataset: Dataset) -> dict[str, Any]:
    """The card's ``test``, ``robustness`` and ``doubt``; empty where that takes too long.

    Where doubt begins is chosen on training images moved by a pixel: the model may have learnt from
    any of them as they are, and then nothing is held out.

    Raises:
        VerificationFailed: it does not run on an image that the proof did not have.
    """
    batch_ms = adopted.facts["verification"]["milliseconds_per_run"][str(LARGEST_BATCH)]
    count = TIMES * len(dataset.test_images) + MORE
    if count / LARGEST_BATCH * batch_ms > 1000 * MOST_S:
        return {}
    digits, _ = samples(dataset)
    return measure(adopted.model, dataset, digits, non_digits=False).as_parts()
