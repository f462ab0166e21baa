"""Fits the network to the training images; stops early by the validation images, if set.

``config.seed`` determines everything random. On one machine, equal seeds give equal weights.
"""

import math
from pathlib import Path

import keras
import tensorflow as tf

from training.config import Config, Precision
from training.data.batches import training_batches, validation_batches
from training.data.loading import Split
from training.network import objective
from training.network.architectures import refresh
from training.network.checkpoint import Arrays, Checkpoint, History, State
from training.network.recorder import OnBatch, OnEpoch, Recorder

REFRESH_BATCHES = 60
CPUINFO = Path("/proc/cpuinfo")  # of Linux


def prepare(config: Config) -> None:
    """Makes TensorFlow deterministic and sets its arithmetic; call it before building a model."""
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy("mixed_bfloat16" if in_bfloat16(config.precision) else "float32")


def fit(
    model: keras.Model,
    config: Config,
    split: Split,
    on_batch: OnBatch = lambda *_: None,
    on_epoch: OnEpoch = lambda *_: None,
    *,
    checkpoint: Checkpoint | None = None,
    state: State | None = None,
) -> History:
    """Trains ``model`` in place, from ``state`` on if there is one, as if it had not stopped.

    Calls ``on_batch`` with epoch, epochs, step, steps and mean loss; raises :class:`TrainingError`.
    """
    recorder = Recorder(config, checkpoint, state, on_batch, on_epoch)
    if config.clean_epochs and not recorder.state.clean:
        _stage(model, _clean(config), split, recorder, config.clean_share)
        recorder.next_stage(model.get_weights())
    _stage(model, config, split, recorder, 1 - config.clean_share)
    if config.clean_share:
        _blend(model, recorder.state.clean, config, split)
        recorder.stop_clocks()
    return recorder.history


def _stage(
    model: keras.Model, config: Config, split: Split, recorder: Recorder, share: float
) -> None:
    """Trains through one schedule of the learning rate, or through the rest of it."""
    steps = math.ceil(len(split.train_images) / config.batch_size)
    model.compile(
        optimizer=objective.optimizer(config, steps * config.epochs),
        loss=objective.loss(config),
        metrics=[objective.DigitAccuracy()],
        jit_compile=False,  # XLA is slower for these networks on a CPU
    )
    done = recorder.begin_stage(model)
    if done < config.epochs and recorder.goes_on():
        model.fit(
            training_batches(split, config, first_epoch=config.clean_epochs + done),
            initial_epoch=done,
            epochs=config.epochs,
            steps_per_epoch=steps,
            validation_data=validation_batches(split),
            callbacks=[recorder],
            shuffle=False,  # training_batches shuffles
            verbose=0,
        )
    recorder.end_stage(model, share)


def _clean(config: Config) -> Config:
    """Returns the settings of the first stage, which learns undamaged digits of MNIST only."""
    others = ("wild", "corruption", "printed", "written", "non_digits", "feedback_share")
    stage = {"epochs": config.clean_epochs, "clean_epochs": 0, "clean_share": 0.0}
    stage["learning_rate"] = 2 * config.learning_rate
    return config.model_copy(update=dict.fromkeys(others, 0.0) | stage)


def _blend(model: keras.Model, clean: Arrays, config: Config, split: Split) -> None:
    """Mixes the weights of both stages, and computes the batch normalisation's averages again.

    Networks between the two are accurate too, and more on clean digits than the end (Wortsman et
    al. 2022, "Robust fine-tuning of zero-shot models", https://arxiv.org/abs/2109.01903).
    """
    pairs = zip(clean, model.get_weights(), strict=True)
    share = config.clean_share
    model.set_weights([share * first + (1 - share) * last for first, last in pairs])
    batches = training_batches(split, config, first_epoch=config.clean_epochs)
    refresh(model, (images for images, *_ in batches.take(REFRESH_BATCHES)))


def in_bfloat16(precision: Precision, cpuinfo: Path = CPUINFO) -> bool:
    """Returns whether to compute in bfloat16, which is twice as fast on a CPU that supports it."""
    if precision != "auto":
        return precision == "bfloat16"
    flags = cpuinfo.read_bytes() if cpuinfo.exists() else b""
    return b"avx512_bf16" in flags or b"amx_bf16" in flags
