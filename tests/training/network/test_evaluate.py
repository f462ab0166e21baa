from __future__ import annotations

import numpy as np
import pytest

from tests.training.digits import mnist
from training.config import Config


def test_every_image_counts_once_also_those_of_the_last_batch() -> None:
    """1,234 images are one batch and a part of the next."""
    from training.network import architectures, evaluate

    network = architectures.with_probabilities(architectures.build(Config(architecture="mlp")))
    images, labels = mnist().test_images[:1234], mnist().test_labels[:1234]
    scores = evaluate.evaluate(network, images, labels)
    alone = np.asarray(network(images)).argmax(axis=1)
    assert scores.count == 1234
    assert scores.accuracy == pytest.approx((alone == labels).mean(), abs=1e-12)


def test_no_images_have_no_accuracy() -> None:
    from training.network import architectures, evaluate

    network = architectures.with_probabilities(architectures.build(Config(architecture="mlp")))
    scores = evaluate.evaluate(network, mnist().test_images[:0], mnist().test_labels[:0])
    assert (scores.count, scores.accuracy) == (0, None)
