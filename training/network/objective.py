"""The loss that a fit minimises, its optimizer and its learning rate."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

from training.config import Config, Optimizer


class Muon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon on the kernels of hidden layers; Adam on vectors, the first layer and ``logits``.

    It makes the momentum's matrix orthogonal (https://kellerjordan.github.io/posts/muon). Keras'
    Muon leaves kernels of convolutions to Adam; here each is (height * width * inputs, outputs).
    """

    def __init__(self, learning_rate: Any, weight_decay: float | None) -> None:
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            adam_weight_decay=weight_decay,
            exclude_layers=["logits"],
        )
        self.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])

    def _should_use_adamw(self, variable: Any) -> bool:
        if len(variable.shape) == 4:
            return bool(variable.shape[-2] == 1)
        return bool(super()._should_use_adamw(variable))

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Returns the orthogonal matrix nearest to a kernel, in the kernel's shape."""
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Scales the update so that learning rates of Adam fit (Liu et al. 2025)."""
        outputs = x.shape[-1]
        return x * (math.sqrt(max(outputs, math.prod(x.shape) // outputs)) * self.rms_rate)


NO_DIGIT = 0.11  # above the largest probability in the target of a non-digit, 0.1
OPTIMIZERS: dict[Optimizer, Callable[..., keras.optimizers.Optimizer]] = {
    "sgd": keras.optimizers.SGD,
    "momentum": partial(keras.optimizers.SGD, momentum=0.9, nesterov=True),
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
    "muon": Muon,
}


def optimizer(config: Config, steps: int) -> keras.optimizers.Optimizer:
    """Returns the optimizer, with its learning rate over ``steps`` steps.

    Weight decay is decoupled from the gradient (Loshchilov and Hutter 2019, "Decoupled Weight
    Decay Regularization"), so that adam is AdamW.
    """
    rate, decay = schedule(config, steps), config.weight_decay or None
    return OPTIMIZERS[config.optimizer](learning_rate=rate, weight_decay=decay)


def schedule(config: Config, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate; one-cycle is https://arxiv.org/abs/1708.07120."""
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
    """Returns the loss of logits (b, 10) against targets (b, 10).

    It is the cross-entropy in nats or the mean squared error of the probabilities.
    """
    if config.loss == "mean_squared_error":
        return lambda targets, logits: ops.mean(ops.square(targets - ops.softmax(logits)), axis=-1)
    return partial(keras.losses.categorical_crossentropy, from_logits=True)


class DigitAccuracy(keras.metrics.Mean):  # type: ignore[misc]
    """The share of digits that the network classifies correctly; non-digits do not count."""

    def __init__(self) -> None:
        super().__init__(name="accuracy")

    def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> None:
        """Adds a batch: targets (b, 10) and logits (b, 10)."""
        right = ops.equal(ops.argmax(targets, axis=-1), ops.argmax(logits, axis=-1))
        super().update_state(right, sample_weight=ops.max(targets, axis=-1) > NO_DIGIT)
