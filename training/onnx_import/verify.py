"""Compares a wrapped model with the original one, on the whole test set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from service.answer.scores import score
from service.types import Images, Probabilities
from training.data.loading import Dataset
from training.errors import TrainingError
from training.export.verify import VerificationFailed, answers, verify
from training.onnx_import.detect import Form
from training.onnx_import.original import Original
from training.onnx_import.outputs import to_probabilities

# A wrapped model that is wrong mostly fails on the first images.
SAMPLE = 64
# The same sums in other operators and another order.
TOLERANCE = 1e-4


def verify_import(
    model: bytes, standard: Original, original: Original, form: Form, dataset: Dataset
) -> dict[str, Any]:
    """Compares the wrapped ``model`` with what it wraps, and with the original model.

    Returns the card's ``test`` and ``verification``.

    The tolerance of the first comparison is that of a trained network's export, see
    :func:`training.export.verify.verify`. The second one covers standard operators that replace
    scikit-learn's. Raises :class:`TrainingError` if the answers differ.
    """
    # One image at a time where any batch size runs: the answer must not depend on it.
    batch = form.shape.batch or 1
    shape = replace(form.shape, batch=batch)

    def reference(images: Images) -> Probabilities:
        return to_probabilities(standard.run(images, form.pixels, shape)[form.output], form.answer)

    images, labels = dataset.test_images, dataset.test_labels
    try:
        verify(model, reference, images[:SAMPLE], labels[:SAMPLE])
        verification = verify(model, reference, images, labels)
    except VerificationFailed as error:
        fixed = f"; it takes {batch} at a time: export it with a free batch axis"
        hint = fixed if form.shape.batch else ""
        raise TrainingError(f"the wrapped model fails the verification: {error}{hint}") from error
    wanted = original.run(images, form.pixels, form.shape)[form.output]
    probabilities = answers(model, images)
    difference = float(np.abs(probabilities - to_probabilities(wanted, form.answer)).max())
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"in standard operators its probabilities differ by {difference:.2g} from those of "
            f"the file, allowed {TOLERANCE:g}"
        )
    return {
        "test": score(probabilities, labels).as_dict(),
        "verification": verification.as_dict(),
    }
