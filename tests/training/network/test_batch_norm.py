from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def layers() -> tuple[Any, Any]:
    """Ours and Keras', with the same weights."""
    import keras

    from training.network.architectures import MOMENTUM, FusedBatchNormalization

    ours, theirs = FusedBatchNormalization(), keras.layers.BatchNormalization(momentum=MOMENTUM)
    for layer in (ours, theirs):
        layer.build((None, 5, 5, 3))
        weights = [np.array(w, np.float32) for w in ((1, 2, 3), (0, 1, -1), (1, 0, 2), (4, 1, 9))]
        layer.set_weights(weights)
    return ours, theirs


def features(seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(2, 3, (64, 5, 5, 3)).astype(np.float32)


@pytest.mark.parametrize("training", [True, False])
def test_it_computes_what_keras_computes(training: bool) -> None:
    ours, theirs = layers()
    expected = np.asarray(theirs(features(), training=training))
    np.testing.assert_allclose(ours(features(), training=training), expected, atol=1e-4)
    for got, average in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(got, average, rtol=1e-3)  # ours divides by n - 1, not n


def test_refreshed_averages_are_the_mean_over_the_batches() -> None:
    import keras

    from training.network.architectures import FusedBatchNormalization, refresh

    image = keras.Input((5, 5, 3))
    layer = FusedBatchNormalization()
    network = keras.Model(image, layer(image))
    batches = [features(seed) for seed in (1, 2, 3)]
    refresh(network, batches)
    mean = np.mean([batch.mean(axis=(0, 1, 2)) for batch in batches], axis=0)
    variance = np.mean([batch.var(axis=(0, 1, 2)) for batch in batches], axis=0)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-3)
