"""What a fit minimises, and by which steps: loss, optimizer, learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from training.config import Config
from training.model import CLASSES


def optimizer(config: Config, steps: int) -> keras.optimizers.Optimizer:
    """The update rule, with its learning rate over ``steps`` steps.

    Weight decay is decoupled from the gradient for all of them (Loshchilov and Hutter 2019,
    "Decoupled Weight Decay Regularization"); with adam that is AdamW.
    """
    settings = {
        "learning_rate": schedule(config, steps),
        "weight_decay": config.weight_decay or None,
    }
    match config.optimizer:
        case "sgd":
            return keras.optimizers.SGD(**settings)
        case "momentum":
            return keras.optimizers.SGD(momentum=0.9, nesterov=True, **settings)
        case "rmsprop":
            return keras.optimizers.RMSprop(**settings)
        case "adam":
            return keras.optimizers.Adam(**settings)


def schedule(config: Config, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate over ``steps`` steps.

    One-cycle: Smith and Topin 2017, "Super-Convergence", https://arxiv.org/abs/1708.07120.
    """
    top, schedules = config.learning_rate, keras.optimizers.schedules
    match config.schedule:
        case "constant":
            return top
        case "exponential":
            return schedules.ExponentialDecay(top, steps, decay_rate=0.01)
        case "cosine":
            return schedules.CosineDecay(top, steps)
        case "one_cycle":
            rise = max(1, steps // 4)
            return schedules.CosineDecay(
                top / 25, max(1, steps - rise), warmup_target=top, warmup_steps=rise
            )


def loss(config: Config) -> Callable[[Any, Any], Any]:
    """The loss of labels (b,) 0..9 against logits (b, 10).

    Cross-entropy in nats, or the mean squared error of the probabilities, against labels of which
    a share may be spread evenly (Szegedy et al. 2016, "Rethinking the Inception Architecture").
    """
    smoothing = config.label_smoothing

    def one_hot(labels: Any) -> Any:
        truth = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), CLASSES)
        return truth * (1 - smoothing) + smoothing / CLASSES

    def mean_squared_error(labels: Any, logits: Any) -> Any:
        return ops.mean(ops.square(one_hot(labels) - ops.softmax(logits)), axis=-1)

    def smoothed_cross_entropy(labels: Any, logits: Any) -> Any:
        return keras.losses.categorical_crossentropy(one_hot(labels), logits, from_logits=True)

    if config.loss == "mean_squared_error":
        return mean_squared_error
    if smoothing:
        return smoothed_cross_entropy
    cross_entropy: Callable[[Any, Any], Any] = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True
    )
    return cross_entropy
