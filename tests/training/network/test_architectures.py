from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from tests.training.digits import few
from training.config import Activation, Architecture, Config


def build(**knobs: Any) -> Any:
    from training.network import architectures

    return architectures.build(Config(**knobs))


@pytest.mark.parametrize(
    ("recipe", "parameters"),
    [("tutorial", 784 * 128 + 128 + 128 * 10 + 10), ("default", 432_394)],
)
def test_the_recipes_networks_have_the_published_sizes(recipe: str, parameters: int) -> None:
    assert build(**Config.from_recipe(recipe).model_dump()).count_params() == parameters


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_it_maps_bytes_to_ten_logits(architecture: str) -> None:
    network = build(architecture=architecture)
    assert (network.input.name, network.input.dtype) == ("image", "uint8")
    assert network.input.shape == (None, 28, 28)
    assert network(few().test_images[:3]).shape == (3, 10)


def test_pixels_are_scaled_inside_the_network() -> None:
    """Without hidden layers the logits are image / 255 @ weights + bias."""
    network = build(architecture="mlp")
    weights, bias = network.get_weights()
    bias += np.arange(10)
    network.set_weights([weights, bias])
    images = few().test_images
    expected = images.reshape(-1, 784).astype(np.float32) / 255 @ weights + bias
    np.testing.assert_allclose(network(images), expected, atol=1e-5)


def test_with_probabilities_is_the_softmax_of_the_same_weights() -> None:
    from training.network import architectures

    network = build(architecture="cnn", filters=(4, 4))
    images = few().test_images
    logits = np.asarray(network(images), np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    got = np.asarray(architectures.with_probabilities(network)(images))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert got.dtype == np.float32


@pytest.mark.parametrize("activation", get_args(Activation))
def test_every_activation_is_applied_to_the_hidden_layers(activation: str) -> None:
    network = build(architecture="mlp", hidden_units=(5, 4), activation=activation)
    hidden = [layer for layer in network.layers if type(layer).__name__ == "Activation"]
    assert len(hidden) == 2
    assert {layer.activation.__name__ for layer in hidden} == {activation}


def test_the_settings_add_their_layers() -> None:
    def kinds(**knobs: Any) -> list[str]:
        network = build(architecture="mlp", hidden_units=(16, 8), **knobs)
        return [type(layer).__name__ for layer in network.layers]

    assert kinds().count("Dense") == 3
    assert kinds(dropout=0.5).count("Dropout") == 2
    assert kinds(batch_normalization=True).count("BatchNormalization") == 2
    assert kinds().count("Dropout") == kinds().count("BatchNormalization") == 0


def test_l2_is_the_sum_of_the_squares_of_every_kernel() -> None:
    network = build(filters=(3, 4), hidden_units=(5,), l2=0.01)
    kernels = [weight for weight in network.get_weights() if weight.ndim > 1]
    assert len(kernels) == 4
    penalty = sum(float(loss) for loss in network.losses)
    assert penalty == pytest.approx(0.01 * sum((kernel**2).sum() for kernel in kernels), rel=1e-5)
