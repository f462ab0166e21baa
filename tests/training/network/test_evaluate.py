from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.answer.scores import score
from tests.training.digits import mnist
from training.config import Config

IMAGES, LABELS = mnist().train_images[:2000], mnist().train_labels[:2000]


@pytest.fixture
def network() -> Any:
    """Untrained, with large logits and so with confident probabilities."""
    from training.network import architectures

    built = architectures.build(Config(architecture="mlp"))
    weights = np.random.default_rng(0).normal(0, 0.5, (784, 10)).astype(np.float32)
    built.set_weights([weights, np.arange(10, dtype=np.float32) / 10])
    return built


def test_every_image_counts_once_also_those_of_the_last_batch(network: Any) -> None:
    """1,234 images are one batch and a part of the next."""
    from training.network import architectures, evaluate

    classifier = architectures.with_probabilities(network)
    scores = score(evaluate.probabilities(classifier, IMAGES[:1234]), LABELS[:1234])
    alone = np.asarray(classifier(IMAGES[:1234])).argmax(axis=1)
    assert scores.count == 1234
    assert scores.accuracy == pytest.approx((alone == LABELS[:1234]).mean(), abs=1e-12)


def test_without_images_there_is_no_accuracy_and_nothing_changes(network: Any) -> None:
    from training.network import evaluate

    before = network.get_weights()
    scores = score(evaluate.probabilities(network, IMAGES[:0]), LABELS[:0])
    assert (scores.count, scores.accuracy) == (0, None)
    assert evaluate.calibrate(network, IMAGES[:0], LABELS[:0]) == 1.0
    for weights, same in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, same)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_it_finds_the_temperature_that_the_labels_were_drawn_at(
    network: Any, temperature: float
) -> None:
    from training.network import evaluate

    logits = np.asarray(network(IMAGES), np.float64)
    gumbel = np.random.default_rng(1).gumbel(size=logits.shape)
    labels = (logits / temperature + gumbel).argmax(axis=1)
    found = evaluate.calibrate(network, IMAGES, labels)
    assert found == pytest.approx(temperature, rel=0.1)
    np.testing.assert_allclose(network(IMAGES), logits / found, rtol=1e-3, atol=1e-4)


def test_wrong_labels_of_which_the_network_is_sure_do_not_decide_the_temperature(
    network: Any,
) -> None:
    from training.network import evaluate

    logits = np.asarray(network(IMAGES), np.float64)
    labels = (logits + np.random.default_rng(1).gumbel(size=logits.shape)).argmax(axis=1)
    surest = np.argsort(logits.max(axis=1) - np.median(logits, axis=1))[-10:]
    labels[surest] = logits[surest].argmin(axis=1)
    assert evaluate.calibrate(network, IMAGES, labels) == pytest.approx(0.96, abs=0.05)
