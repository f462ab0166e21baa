"""Fits the network to the training images; validation images steer, test images never come near.

Everything random hangs on ``config.seed``: the split, the first weights, dropout, and for every
epoch the order and the augmentation. The same seed gives the same weights on the same machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from training import objective
from training.batches import training_batches, validation_batches
from training.config import Config, Precision
from training.data import Split
from training.errors import TrainingError
from training.history import Epoch, History
from training.normalise import refresh

REFRESH_BATCHES = 60
CPUINFO = Path("/proc/cpuinfo")  # of Linux


class FitError(TrainingError):
    """Training that came to nothing; one line."""


OnBatch = Callable[[int, int, int, int, float], None]
OnEpoch = Callable[[Epoch, int], None]


def prepare(config: Config) -> None:
    """Makes TensorFlow repeatable, in the arithmetic asked for. Comes before a model is built."""
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy("mixed_bfloat16" if in_bfloat16(config.precision) else "float32")


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
    recorder = _Recorder(config.clean_epochs + config.epochs, on_batch, on_epoch)
    clean: list[NDArray[np.float32]] = []
    if config.clean_epochs:
        _stage(model, _clean(config), split, recorder)
        clean = model.get_weights()
    batches = _stage(model, config, split, recorder)
    if config.clean_share:
        _blend(model, clean, config, batches)
        recorder.stop_clocks()
    return recorder.history


def _stage(
    model: keras.Model, config: Config, split: Split, recorder: _Recorder
) -> tf.data.Dataset:
    """Trains through one course of the learning rate; gives the batches it was trained on."""
    steps = math.ceil(len(split.train_images) / config.batch_size)
    model.compile(
        optimizer=objective.optimizer(config, steps * config.epochs),
        loss=objective.loss(config),
        metrics=[objective.DigitAccuracy()],
        jit_compile=False,  # XLA is slower for these networks on a CPU
    )
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=config.early_stopping, restore_best_weights=True
    )
    batches = training_batches(
        split.train_images, split.train_labels, config, first_epoch=config.clean_epochs
    )
    history = recorder.history
    before = len(history.epochs)
    model.fit(
        batches,
        epochs=config.epochs,
        steps_per_epoch=steps,
        validation_data=validation_batches(split),
        callbacks=[recorder, stopping] if config.early_stopping else [recorder],
        shuffle=False,  # the batches are shuffled already
        verbose=0,
    )
    stopped = config.early_stopping
    history.best_epoch = before + stopping.best_epoch + 1 if stopped else len(history.epochs)
    return batches


def _clean(config: Config) -> Config:
    """The settings of the first stage: MNIST's digits alone, and those undamaged."""
    alone = {"wild": 0.0, "corruption": 0.0, "printed": 0.0, "non_digits": 0.0}
    stage = {"epochs": config.clean_epochs, "clean_epochs": 0, "clean_share": 0.0}
    rate = {"learning_rate": 2 * config.learning_rate}
    return config.model_copy(update=alone | stage | rate)


def _blend(
    model: keras.Model, clean: list[NDArray[np.float32]], config: Config, batches: tf.data.Dataset
) -> None:
    """Mixes the weights of both stages, and learns the normalisation's averages anew.

    The second stage begins where the first ended, so that the nets between them are good too, and
    better on clean digits than its end (Wortsman et al. 2022, "Robust fine-tuning of zero-shot
    models", https://arxiv.org/abs/2109.01903).
    """
    pairs = zip(clean, model.get_weights(), strict=True)
    share = config.clean_share
    model.set_weights([share * first + (1 - share) * last for first, last in pairs])
    refresh(model, (images for images, *_ in batches.take(REFRESH_BATCHES)))


def in_bfloat16(precision: Precision, cpuinfo: Path = CPUINFO) -> bool:
    """Whether to compute in bfloat16: half the bytes, and on a CPU with it twice the products."""
    if precision != "auto":
        return precision == "bfloat16"
    try:
        flags = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


class _Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the history of all stages, tells those who watch, and ends a run that has diverged."""

    def __init__(self, epochs: int, on_batch: OnBatch | None, on_epoch: OnEpoch | None) -> None:
        super().__init__()
        self.history = History()
        self._epochs, self._on_batch, self._on_epoch = epochs, on_batch, on_epoch
        self._epoch = 0
        self._began, self._cpu_began = time.perf_counter(), time.process_time()

    def stop_clocks(self) -> None:
        """Counts what was done until now."""
        self.history.seconds = round(time.perf_counter() - self._began, 3)
        self.history.cpu_seconds = round(time.process_time() - self._cpu_began, 3)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = len(self.history.epochs) + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self._on_batch and logs:
            self._on_batch(self._epoch, self._epochs, batch + 1, self.params["steps"], logs["loss"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        if not math.isfinite(logs["loss"]):
            raise FitError(
                f"the loss is {logs['loss']} after epoch {self._epoch}: training has diverged; "
                "a lower learning rate may help"
            )
        self.stop_clocks()
        entry = Epoch(
            epoch=self._epoch,
            loss=float(logs["loss"]),
            accuracy=float(logs["accuracy"]),
            validation_loss=_optional(logs.get("val_loss")),
            validation_accuracy=_optional(logs.get("val_accuracy")),
            learning_rate=float(ops.convert_to_tensor(self.model.optimizer.learning_rate)),
            seconds=self.history.seconds,
            cpu_seconds=self.history.cpu_seconds,
        )
        self.history.epochs.append(entry)
        if self._on_epoch:
            self._on_epoch(entry, self._epochs)


def _optional(value: float | None) -> float | None:
    return None if value is None else float(value)
