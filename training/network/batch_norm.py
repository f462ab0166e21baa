"""Batch normalisation of feature maps in one fused pass.

Keras 3 computes mean, variance and result in separate passes, which take as long as the
convolutions. TensorFlow's fused kernel does the same arithmetic (Ioffe and Szegedy 2015) in one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

MOMENTUM = 0.95  # a run of three epochs has only a few hundred steps to learn the averages


class FusedBatchNormalization(layers.BatchNormalization):  # type: ignore[misc]
    """``BatchNormalization`` of (n, height, width, channels), with the same names of weights."""

    def __init__(self, **options: Any) -> None:
        super().__init__(momentum=MOMENTUM, **options)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalises by the batch's own statistics in training, and by the averages otherwise."""
        if not training:
            return super().call(inputs, training=False)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )[:3]
        for average, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(self.momentum * average + (1 - self.momentum) * now)
        return outputs


def refresh(model: keras.Model, batches: Iterable[Any]) -> None:
    """Sets the averages of every batch normalisation to their mean over ``batches`` of images."""
    normalisations = [each for each in model.layers if isinstance(each, layers.BatchNormalization)]
    averages = [
        average for each in normalisations for average in (each.moving_mean, each.moving_variance)
    ]
    momenta = [each.momentum for each in normalisations]
    for each in normalisations:
        each.momentum = 0.0  # an average is then the statistic of the last batch
    step = tf.function(lambda images: model(images, training=True))
    sums, count = [0.0] * len(averages), 0
    for images in batches:
        step(images)
        sums = [total + average.numpy() for total, average in zip(sums, averages, strict=True)]
        count += 1
    for average, total in zip(averages, sums, strict=True):
        average.assign(total / count)
    for each, momentum in zip(normalisations, momenta, strict=True):
        each.momentum = momentum
