"""Scores a network on labelled images, whole: no batch is dropped and none counted twice."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from service.answer.scores import Scores, score
from service.types import Images, Labels

BATCH = 1000


def probabilities(network: keras.Model, images: Images) -> NDArray[np.float32]:
    """What the network says to images (n, 28, 28) uint8: (n, 10) float32, each row sums to 1.

    ``network`` ends in a softmax, see ``architectures.with_probabilities``.
    """
    if not len(images):  # Keras predicts nothing from nothing by raising
        return np.empty((0, 10), np.float32)
    answer: NDArray[np.float32] = network.predict(images, batch_size=BATCH, verbose=0)
    return answer


def evaluate(network: keras.Model, images: Images, labels: Labels) -> Scores:
    """Accuracy, loss, calibration and mistakes of ``network`` against labels (n,), 0..9."""
    return score(probabilities(network, images), labels)
