"""The networks, from uint8 pixels to logits: one function for each architecture.

The network scales the pixels itself, so that training and serving cannot scale them differently.
CONTRIBUTING.md shows how to add an architecture.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from training.config import Config

MOMENTUM = 0.95  # a run of three epochs has only a few hundred steps to learn the averages


class FusedBatchNormalization(layers.BatchNormalization):  # type: ignore[misc]
    """``BatchNormalization`` of (n, height, width, channels), with the same names of weights.

    Keras 3 takes separate passes, as long as the convolutions; TensorFlow's kernel takes one.
    """

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
    """Sets the averages of every batch normalisation to their mean over ``batches``, for good."""
    normalisations = [each for each in model.layers if isinstance(each, layers.BatchNormalization)]
    averages = [
        average for each in normalisations for average in (each.moving_mean, each.moving_variance)
    ]
    for each in normalisations:
        each.momentum = 0.0  # an average is then the statistic of the last batch
    step = tf.function(lambda images: model(images, training=True))
    seen: list[list[Any]] = []
    for images in batches:
        step(images)
        seen.append([average.numpy() for average in averages])
    for average, values in zip(averages, zip(*seen, strict=True), strict=True):
        average.assign(sum(values) / len(seen))


CLASSES = 10


def build(config: Config) -> keras.Model:
    """Builds ``config.architecture``: ``image`` (n, 28, 28) uint8 -> logits (n, 10) float32."""
    image = keras.Input((28, 28), dtype="uint8", name="image")
    ink = ops.cast(image, "float32") / 255.0
    features = ARCHITECTURES[config.architecture](ink, config)
    for units in config.hidden_units:
        features = _hidden(layers.Dense, features, config, units)
        features = _dropout(features, config)
    logits = layers.Dense(CLASSES, kernel_regularizer=_l2(config), dtype="float32", name="logits")(
        features
    )
    return keras.Model(image, logits, name=config.architecture)


def as_float32(model: keras.Model, config: Config) -> keras.Model:
    """Returns a copy with the same weights that computes in float32, for the export."""
    keras.config.set_dtype_policy("float32")
    copy = build(config)
    copy.set_weights(model.get_weights())
    return copy


def with_probabilities(model: keras.Model) -> keras.Model:
    """Appends a softmax: (n, 10) float32, each row sums to 1. Shares the weights."""
    probabilities = layers.Softmax(name="probabilities")(model.output)
    return keras.Model(model.input, probabilities, name=model.name)


def mlp(ink: Any, config: Config) -> Any:
    """Every pixel is a feature, (n, 28, 28) -> (n, 784). ``Flatten`` makes seven ONNX nodes."""
    return ops.reshape(ink, (-1, 28 * 28))


def cnn(ink: Any, config: Config) -> Any:
    """Convolutions, (n, 28, 28) -> (n, filters[-1]).

    A 5x5 stem and the second 3x3 layer halve the image, because layers at full size cost the most.
    Global average pooling replaces large dense layers (Lin et al. 2014, "Network In Network").
    """
    later = len(config.filters) - 1
    sides, strides = [5, *[3] * later], [2, 1, 2, *[1] * later]
    features = _convolutions(ink, config, sides, strides, "same")
    features = layers.GlobalAveragePooling2D()(features)
    return _dropout(features, config)


def valid_cnn(ink: Any, config: Config) -> Any:
    """Convolutions without padding, (n, 28, 28) -> (n, filters[-1]).

    A 6x6 stem of stride 2 leaves 12x12 pixels, every 3x3 layer removes two pixels a side, and the
    kernel of the last layer covers what is left (An et al. 2020, https://arxiv.org/abs/2008.10400).
    """
    between = len(config.filters) - 2
    sides, strides = [6, *[3] * between, 12 - 2 * between], [2, *[1] * (between + 1)]
    features = _convolutions(ink, config, sides, strides, "valid")
    features = ops.reshape(features, (-1, config.filters[-1]))
    return _dropout(features, config)


ARCHITECTURES: dict[str, Callable[[Any, Config], Any]] = {
    "mlp": mlp,
    "cnn": cnn,
    "valid_cnn": valid_cnn,
}


def _convolutions(
    ink: Any, config: Config, sides: Sequence[int], strides: Sequence[int], padding: str
) -> Any:
    """Chains convolutions, (n, 28, 28) -> (n, rows, columns, filters[-1])."""
    features = ops.expand_dims(ink, -1)
    for filters, side, stride in zip(config.filters, sides, strides, strict=False):
        options = {"kernel_size": side, "strides": stride, "padding": padding}
        features = _hidden(layers.Conv2D, features, config, filters, **options)
    return features


def _hidden(
    layer: Callable[..., Any], features: Any, config: Config, width: int, **options: Any
) -> Any:
    """Adds a layer, batch normalisation if set (Ioffe and Szegedy 2015), and the activation."""
    features = layer(
        width,
        use_bias=not config.batch_normalization,  # batch normalisation has its own bias
        kernel_regularizer=_l2(config),
        **options,
    )(features)
    if config.batch_normalization:
        fused = len(features.shape) == 4
        features = (FusedBatchNormalization if fused else layers.BatchNormalization)()(features)
    return layers.Activation(config.activation)(features)


def _dropout(features: Any, config: Config) -> Any:
    return layers.Dropout(config.dropout)(features) if config.dropout else features


def _l2(config: Config) -> Any:
    return keras.regularizers.L2(config.l2) if config.l2 else None
