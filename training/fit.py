"""Fits the network to the training images; validation images steer, test images never come near.

Everything random hangs on ``config.seed``: the split, the first weights, dropout, and for every
epoch the order and the augmentation. The same seed gives the same weights on the same machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import keras
import tensorflow as tf
from keras import ops

from training import objective
from training.batches import training_batches, validation_batches
from training.config import Config
from training.data import Split
from training.errors import TrainingError
from training.history import Epoch, History


class FitError(TrainingError):
    """Training that came to nothing; one line."""


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
        optimizer=objective.optimizer(config, steps * config.epochs),
        loss=objective.loss(config),
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
        validation_data=validation_batches(split),
        callbacks=[recorder, stopping] if config.early_stopping else [recorder],
        shuffle=False,  # the batches are shuffled already
        verbose=0,
    )
    history = recorder.history
    history.best_epoch = stopping.best_epoch + 1 if config.early_stopping else len(history.epochs)
    return history


class _Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the history, tells those who watch, and ends a run that has diverged."""

    def __init__(self, steps: int, on_batch: OnBatch | None, on_epoch: OnEpoch | None) -> None:
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
            learning_rate=float(ops.convert_to_tensor(self.model.optimizer.learning_rate)),
            seconds=round(time.perf_counter() - self._began, 3),
            cpu_seconds=round(time.process_time() - self._cpu_began, 3),
        )
        self.history.epochs.append(entry)
        self.history.seconds, self.history.cpu_seconds = entry.seconds, entry.cpu_seconds
        if self._on_epoch:
            self._on_epoch(entry, self.params["epochs"])


def _optional(value: float | None) -> float | None:
    return None if value is None else float(value)
