"""Muon for convolutions: makes the momentum's matrix orthogonal before each step.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon. Keras' Muon leaves kernels of convolutions to Adam; this
one treats each as the matrix (height * width * input channels, output channels).
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


class Muon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon on the kernels of hidden layers, Adam on the rest.

    The rest is the first layer, which has one input channel, the last layer, ``logits``, and every
    vector. Vectors have no weight decay.
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
