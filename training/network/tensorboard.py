"""Writes the epochs of a run as TensorBoard's event files, with ``tf.summary``.

The package ``tensorboard`` is needed only to look at them. ``tf.summary.scalar`` and
``keras.callbacks.TensorBoard`` would need it here too, hence the raw messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from training.errors import TrainingError
from training.network.history import Epoch

Summary = tf.compat.v1.Summary


class Logs:
    """The curves of one run under ``folder``: ``train`` and ``validation``, with Keras' names.

    Replaces the event files in the folder, and writes the epochs ``before`` of the interrupted run
    that this one continues. Raises :class:`TrainingError` if a file cannot be written.
    """

    def __init__(self, folder: Path, before: Iterable[Epoch] = ()) -> None:
        self._folder = folder
        self._writers: dict[str, Any] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob("*/events.out.tfevents.*"):
                old.unlink()
        except OSError as error:
            raise TrainingError(f"--tensorboard: {folder}: {error.strerror}") from error
        for epoch in before:
            self.epoch(epoch)

    def epoch(self, epoch: Epoch) -> None:
        """Writes and flushes the figures of one epoch."""
        train = {"loss": epoch.loss, "accuracy": epoch.accuracy}
        held_out = {"loss": epoch.validation_loss, "accuracy": epoch.validation_accuracy}
        try:
            self._write("train", epoch.epoch, train | {"learning_rate": epoch.learning_rate})
            if epoch.validation_loss is not None:
                self._write("validation", epoch.epoch, held_out)
        except tf.errors.OpError as error:
            raise TrainingError(f"--tensorboard: {self._folder}: {error.message}") from error

    def _write(self, part: str, step: int, curves: Mapping[str, float | None]) -> None:
        if part not in self._writers:
            self._writers[part] = tf.summary.create_file_writer(str(self._folder / part))
        values = [Summary.Value(tag=f"epoch_{name}", simple_value=y) for name, y in curves.items()]
        with self._writers[part].as_default():
            message = Summary(value=values).SerializeToString()
            tf.summary.experimental.write_raw_pb(message, step=step)
        self._writers[part].flush()
