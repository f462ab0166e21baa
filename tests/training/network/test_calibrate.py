from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.training.digits import mnist
from training.config import Config

IMAGES = mnist().train_images[:2000]


@pytest.fixture
def network() -> Any:
    """Untrained, with large logits and so with confident probabilities."""
    from training.network import architectures

    built = architectures.build(Config(architecture="mlp"))
    weights = np.random.default_rng(0).normal(0, 0.5, (784, 10)).astype(np.float32)
    built.set_weights([weights, np.arange(10, dtype=np.float32) / 10])
    return built


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_it_finds_the_temperature_that_the_labels_were_drawn_at(
    network: Any, temperature: float
) -> None:
    from training.network.calibrate import calibrate

    logits = np.asarray(network(IMAGES), np.float64)
    gumbel = np.random.default_rng(1).gumbel(size=logits.shape)
    labels = (logits / temperature + gumbel).argmax(axis=1)
    found = calibrate(network, IMAGES, labels)
    assert found == pytest.approx(temperature, rel=0.1)
    np.testing.assert_allclose(network(IMAGES), logits / found, rtol=1e-3, atol=1e-4)


def test_without_images_nothing_is_changed(network: Any) -> None:
    from training.network.calibrate import calibrate

    before = network.get_weights()
    assert calibrate(network, IMAGES[:0], mnist().train_labels[:0]) == 1.0
    for weights, same in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, same)
