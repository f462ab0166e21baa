from __future__ import annotations

from typing import Any

import numpy as np

from training.config import Config


def optimizer(network: Any, **knobs: Any) -> Any:
    from training.network import objective

    muon = objective.optimizer(Config(optimizer="muon", **knobs), steps=10)
    muon.build(network.trainable_variables)
    return muon


def network() -> Any:
    from training.network import architectures

    knobs: dict[str, Any] = {"filters": (4, 8, 6), "batch_normalization": True}
    return architectures.build(Config(architecture="valid_cnn", hidden_units=(5,), **knobs))


def test_hidden_kernels_are_muons_and_the_first_the_last_and_vectors_adams() -> None:
    built = network()
    muon = optimizer(built)
    own = [v.shape for v in built.trainable_variables if not muon._should_use_adamw(v)]
    assert own == [(3, 3, 4, 8), (10, 10, 8, 6), (6, 5)]


def test_the_step_of_a_kernel_is_orthogonal() -> None:
    """As a matrix of its outputs; the iteration of Newton and Schulz comes near 1."""
    gradient = np.random.default_rng(0).normal(size=(3, 3, 4, 8)).astype(np.float32)
    step = np.asarray(optimizer(network()).zeropower_via_newtonschulz5(gradient, 5))
    assert step.shape == gradient.shape
    singular = np.linalg.svd(step.reshape(36, 8), compute_uv=False)
    assert singular.min() > 0.6
    assert singular.max() < 1.3


def test_a_step_is_as_large_as_one_of_adam_is() -> None:
    """About 0.2 of the learning rate per weight, for any shape of kernel (Liu et al. 2025)."""
    muon = optimizer(network())
    for shape in ((3, 3, 4, 8), (10, 10, 8, 6), (3, 3, 2, 64)):
        gradient = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        step = np.asarray(muon.lr_adjust(muon.zeropower_via_newtonschulz5(gradient, 5)))
        assert 0.1 < np.sqrt(np.mean(step**2)) < 0.3


def test_vectors_do_not_decay_and_kernels_do() -> None:
    built = network()
    muon = optimizer(built, weight_decay=0.5)
    for variable in built.trainable_variables:
        assert muon._use_weight_decay(variable) == (len(variable.shape) > 1)
