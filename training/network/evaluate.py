"""Scores a Keras network on labelled images, each counted once."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from service.answer.scores import Scores, score
from service.types import Images, Labels

BATCH = 1000


def probabilities(network: keras.Model, images: Images) -> NDArray[np.float32]:
    """Classifies images (n, 28, 28) uint8: returns (n, 10) float32, each row sums to 1.

    ``network`` ends in a softmax, see ``architectures.with_probabilities``.
    """
    if not len(images):  # Keras raises on an empty batch
        return np.empty((0, 10), np.float32)
    answer: NDArray[np.float32] = network.predict(images, batch_size=BATCH, verbose=0)
    return answer


def evaluate(network: keras.Model, images: Images, labels: Labels) -> Scores:
    """Returns accuracy, loss, calibration and mistakes of ``network`` on labels (n,), 0..9."""
    return score(probabilities(network, images), labels)
