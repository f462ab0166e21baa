"""Fits the network to the training images; validation images steer, test images never come near.

Everything random hangs on ``config.seed``: the split, the first weights, dropout, and for every
epoch the order and the augmentation. The same seed gives the same weights on the same machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from service.decode import Images
from service.decode.labelled import Labels
from training import augment
from training.config import Config
from training.data import Split
from training.errors import TrainingError
from training.model import CLASSES

EVALUATION_BATCH = 1000


class FitError(TrainingError):
    """Training that came to nothing; one line."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training images came to; times are seconds since the start."""

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    cpu_seconds: float


@dataclass(slots=True)
class History:
    """The epochs in order. ``best_epoch`` is the one whose weights were kept."""

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As the card keeps it."""
        return asdict(self)


OnBatch = Callable[[int, int, int, int, float], None]
OnEpoch = Callable[[Epoch, int], None]


def prepare(seed: int) -> None:
    """Makes TensorFlow repeatable. To be called before a model is built."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def fit(
    model: keras.Model,
    config: Config,
    split: Split,
    on_batch: OnBatch | None = None,
    on_epoch: OnEpoch | None = None,
) -> History:
    """Trains ``model`` in place.

    Args:
        on_batch: told after a step: its epoch, of how many; the step, of how many; the loss so far.
        on_epoch: told after an epoch, and of how many it is.

    Raises:
        FitError: the loss is no longer a number.
    """
    steps = math.ceil(len(split.train_images) / config.batch_size)
    model.compile(
        optimizer=_optimizer(config, steps * config.epochs),
        loss=_loss(config),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=False,  # XLA is slower for these networks on a CPU
    )
    recorder = _Recorder(steps, on_batch, on_epoch)
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=config.early_stopping, restore_best_weights=True
    )
    model.fit(
        training_batches(split.train_images, split.train_labels, config),
        epochs=config.epochs,
        steps_per_epoch=steps,
        validation_data=_validation_batches(split),
        callbacks=[recorder, stopping] if config.early_stopping else [recorder],
        shuffle=False,  # the batches are shuffled already
        verbose=0,
    )
    history = recorder.history
    history.best_epoch = stopping.best_epoch + 1 if config.early_stopping else len(history.epochs)
    return history


def training_batches(
    images: Images, labels: Labels, config: Config, first_epoch: int = 0
) -> tf.data.Dataset:
    """Endless batches of images (b, 28, 28) uint8 and labels (b,), shuffled anew every epoch.

    Order and augmentation depend on the seed, the epoch and the step alone, so that a run may
    begin at any epoch and see what it would have seen.
    """
    all_images, all_labels = tf.constant(images), tf.constant(labels)
    count = len(images)
    steps = math.ceil(count / config.batch_size)

    def epoch_of(epoch: Any) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(count), seed=tf.stack((config.seed, epoch))
        )
        return tf.data.Dataset.from_tensor_slices(order).batch(config.batch_size)

    def batch_of(step: Any, indices: Any) -> tuple[Any, Any]:
        batch = tf.gather(all_images, indices)
        if augment.is_active(config):
            batch = augment.affine(batch, config, seed=tf.stack((config.seed, step)))
        return batch, tf.gather(all_labels, indices)

    return (
        tf.data.Dataset.counter(first_epoch)
        .flat_map(epoch_of)
        .enumerate(first_epoch * steps)
        .map(batch_of, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def _validation_batches(split: Split) -> tf.data.Dataset | None:
    if not len(split.validation_images):
        return None
    pair = (split.validation_images, split.validation_labels)
    return tf.data.Dataset.from_tensors(pair).unbatch().batch(EVALUATION_BATCH).cache()


def _optimizer(config: Config, steps: int) -> keras.optimizers.Optimizer:
    settings = {
        "learning_rate": _schedule(config, steps),
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


def _schedule(
    config: Config, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
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


def _loss(config: Config) -> Callable[[Any, Any], Any]:
    """Loss of labels (b,) against logits (b, 10)."""
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
    loss: Callable[[Any, Any], Any] = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return loss


class _Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the history, tells those who watch, and ends a run that has diverged."""

    def __init__(
        self,
        steps: int,
        on_batch: OnBatch | None,
        on_epoch: OnEpoch | None,
    ) -> None:
        super().__init__()
        self.history = History()
        self._steps, self._on_batch, self._on_epoch = steps, on_batch, on_epoch
        self._epoch = 0
        self._began, self._cpu_began = time.perf_counter(), time.process_time()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self._on_batch and logs:
            self._on_batch(self._epoch, self.params["epochs"], batch + 1, self._steps, logs["loss"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        if not math.isfinite(logs["loss"]):
            raise FitError(
                f"the loss is {logs['loss']} after epoch {epoch + 1}: training has diverged; "
                "a lower learning rate may help"
            )
        entry = Epoch(
            epoch=epoch + 1,
            loss=float(logs["loss"]),
            accuracy=float(logs["accuracy"]),
            validation_loss=_optional(logs.get("val_loss")),
            validation_accuracy=_optional(logs.get("val_accuracy")),
            learning_rate=float(ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            seconds=round(time.perf_counter() - self._began, 3),
            cpu_seconds=round(time.process_time() - self._cpu_began, 3),
        )
        self.history.epochs.append(entry)
        self.history.seconds, self.history.cpu_seconds = entry.seconds, entry.cpu_seconds
        if self._on_epoch:
            self._on_epoch(entry, self.params["epochs"])


def _optional(value: float | None) -> float | None:
    return None if value is None else float(value)
