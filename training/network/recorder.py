"""Records a fit: its history, its best weights and a checkpoint after every epoch."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from training.config import Config
from training.errors import TrainingError
from training.interrupt import raise_swallowed
from training.network.checkpoint import Arrays, Checkpoint, Epoch, State

OnBatch = Callable[[int, int, int, int, float], None]
OnEpoch = Callable[[Epoch, int], None]


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Records a fit, stops a stage whose validation loss no longer falls, raises if it diverges."""

    def __init__(
        self,
        config: Config,
        checkpoint: Checkpoint | None,
        state: State | None,
        on_batch: OnBatch,
        on_epoch: OnEpoch,
    ) -> None:
        super().__init__()
        self._patience, self._epochs = config.early_stopping, config.clean_epochs + config.epochs
        self._checkpoint, self._on_batch, self._on_epoch = checkpoint, on_batch, on_epoch
        self.state, self._resumed = state or State(), state is not None
        self.history = self.state.history
        self._began = time.perf_counter() - self.history.seconds
        self._cpu_began = time.process_time() - self.history.cpu_seconds

    def begin_stage(self, model: keras.Model) -> int:
        """Restores the state into ``model`` and returns how many epochs of this stage are done."""
        if self._resumed:
            model.optimizer.build(model.trainable_variables)
            _assign(model.variables, self.state.network)
            _assign(model.optimizer.variables, self.state.optimizer)
            self._resumed = False
        return len(self._stage())

    def goes_on(self) -> bool:
        """Returns whether early stopping lets the stage continue."""
        stage = self._stage()
        return not (self._patience and stage and len(stage) - 1 - _best(stage) >= self._patience)

    def end_stage(self, model: keras.Model, share: float) -> None:
        """Puts the best weights into ``model``; the final weights contain ``share`` of them."""
        history, stage = self.history, self._stage()
        if self.state.best:
            model.set_weights(self.state.best)
        best = _best(stage) + 1 if self._patience else len(stage)
        history.best_epoch = history.clean_epochs + best
        if share:
            history.kept.append({"epoch": history.best_epoch, "share": round(share, 6)})

    def next_stage(self, clean: Arrays) -> None:
        """Ends the first stage with the weights ``clean``."""
        self.state.clean, self.state.best = clean, []
        self.history.clean_epochs = len(self.history.epochs)

    def stop_clocks(self) -> None:
        """Updates the durations in the history."""
        self.history.seconds = round(time.perf_counter() - self._began, 3)
        self.history.cpu_seconds = round(time.process_time() - self._cpu_began, 3)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Calls ``on_batch``. Raises :class:`Stopped` if a signal arrived."""
        raise_swallowed()
        steps, epoch = self.params["steps"], len(self.history.epochs) + 1
        self._on_batch(epoch, self._epochs, batch + 1, steps, (logs or {})["loss"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Records and saves the epoch. Raises :class:`TrainingError` if the loss is not finite."""
        logs = logs or {}
        number = len(self.history.epochs) + 1  # across stages; Keras starts again at 0 in each
        if not math.isfinite(logs["loss"]):
            if self._checkpoint:
                self._checkpoint.remove()  # a resumed run would diverge again
            raise TrainingError(
                f"the loss is {logs['loss']} after epoch {number}: the fit has diverged; "
                "a lower learning rate may help"
            )
        self.stop_clocks()
        entry = Epoch(
            epoch=number,
            loss=logs["loss"],
            accuracy=logs["accuracy"],
            validation_loss=logs.get("val_loss"),
            validation_accuracy=logs.get("val_accuracy"),
            learning_rate=float(ops.convert_to_tensor(self.model.optimizer.learning_rate)),
            seconds=self.history.seconds,
            cpu_seconds=self.history.cpu_seconds,
        )
        self.history.epochs.append(entry)
        if self._patience and _best(self._stage()) == len(self._stage()) - 1:
            self.state.best = self.model.get_weights()
        self.model.stop_training = not self.goes_on()
        if self._checkpoint:
            self.state.network = [each.numpy() for each in self.model.variables]
            self.state.optimizer = [each.numpy() for each in self.model.optimizer.variables]
            self._checkpoint.save(self.state)
        self._on_epoch(entry, self._epochs)

    def _stage(self) -> Sequence[Epoch]:
        return self.history.epochs[self.history.clean_epochs :]


def _best(epochs: Sequence[Epoch]) -> int:
    """Returns the index of the first epoch with the lowest validation loss."""
    losses = [math.inf if e.validation_loss is None else e.validation_loss for e in epochs]
    return losses.index(min(losses))


def _assign(variables: Sequence[Any], values: Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
