"""Writes the epochs of a run as TensorBoard reads them.

An event file is a TFRecord of ``Event`` messages whose name begins with ``events.out.tfevents``
(tensorflow/core/util/event.proto). It is written with TensorFlow alone: the package
``tensorboard``, which ``keras.callbacks.TensorBoard`` wants too, is only needed to look.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from training.errors import TrainingError
from training.network.history import Epoch

Event, SessionLog, Summary = tf.compat.v1.Event, tf.compat.v1.SessionLog, tf.compat.v1.Summary


class Logs:
    """One run's curves under ``folder``: ``train`` and ``validation``, named as Keras names them.

    ``before`` are the epochs of a run that goes on. They are written again, so that the curves are
    whole: a new file takes the place of what older ones in its folder say.

    Raises :class:`TrainingError` where a file cannot be written.
    """

    def __init__(self, folder: Path, before: Iterable[Epoch] = ()) -> None:
        self._folder = folder
        self._writers: dict[str, Any] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"--tensorboard: {folder}: {error.strerror}") from error
        for epoch in before:
            self.epoch(epoch)

    def epoch(self, epoch: Epoch) -> None:
        """Writes one epoch's figures, at once."""
        figures = {
            "loss": epoch.loss,
            "accuracy": epoch.accuracy,
            "learning_rate": epoch.learning_rate,
        }
        held_out = {"loss": epoch.validation_loss, "accuracy": epoch.validation_accuracy}
        try:
            self._write("train", epoch.epoch, figures)
            if epoch.validation_loss is not None:
                self._write("validation", epoch.epoch, held_out)
        except (OSError, tf.errors.OpError) as error:
            why = error.strerror if isinstance(error, OSError) else error.message
            raise TrainingError(f"--tensorboard: {self._folder}: {why}") from error

    def _write(self, part: str, step: int, figures: Mapping[str, float | None]) -> None:
        if part not in self._writers:
            self._writers[part] = _begin(self._folder / part, step)
        values = [
            Summary.Value(tag=f"epoch_{name}", simple_value=figure)
            for name, figure in figures.items()
        ]
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._writers[part].write(event.SerializeToString())
        self._writers[part].flush()


def _begin(folder: Path, step: int) -> Any:
    """A new event file, whose start at ``step`` voids what older files have from there on."""
    folder.mkdir(parents=True, exist_ok=True)
    now = time.time()
    path = folder / f"events.out.tfevents.{now:.6f}.{socket.gethostname()}"
    writer = tf.io.TFRecordWriter(str(path))
    start = SessionLog(status=SessionLog.START)
    for event in (
        Event(wall_time=now, file_version="brain.Event:2"),
        Event(wall_time=now, step=step, session_log=start),
    ):
        writer.write(event.SerializeToString())
    return writer
