from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.config import Config


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", {0: 1.0, 50: 1.0, 100: 1.0}),
        ("exponential", {0: 1.0, 50: 0.1, 100: 0.01}),
        ("cosine", {0: 1.0, 50: 0.5, 100: 0.0}),
        ("one_cycle", {0: 0.04, 25: 1.0, 62.5: 0.5, 100: 0.0}),
    ],
)
def test_the_learning_rate_follows_its_schedule(schedule: Any, rates: dict[float, float]) -> None:
    from training.network import objective

    rate = objective.schedule(Config(schedule=schedule, learning_rate=1.0), steps=100)
    for step, expected in rates.items():
        value = float(rate if isinstance(rate, float) else rate(step))
        assert value == pytest.approx(expected, abs=1e-6)


def test_the_losses_are_those_of_their_formulas() -> None:
    from training.network import objective

    logits = np.random.default_rng(0).normal(size=(6, 10)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.eye(10)[:6]
    expected: list[tuple[dict[str, Any], Any]] = [
        ({}, -(truth * np.log(probabilities)).sum(axis=1)),
        ({"loss": "mean_squared_error"}, ((truth - probabilities) ** 2).mean(axis=1)),
    ]
    for knobs, values in expected:
        found = objective.loss(Config(**knobs))(truth.astype(np.float32), logits)
        np.testing.assert_allclose(found, values, 1e-4)


def test_accuracy_counts_digits_alone_and_each_once() -> None:
    """Also over batches of different sizes, with non-digits among them."""
    from training.network import objective

    even = np.full((3, 10), 0.1, np.float32)
    right, wrong = np.eye(10, dtype=np.float32)[[3, 3]], np.eye(10, dtype=np.float32)[[4, 5]]
    accuracy = objective.DigitAccuracy()
    accuracy.update_state(np.concatenate([right, even]), np.concatenate([right, even]))
    accuracy.update_state(right, wrong)
    accuracy.update_state(right[:1], right[:1])
    assert float(accuracy.result()) == pytest.approx(3 / 5)
