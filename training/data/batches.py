"""Makes the batches of a fit from images in memory: shuffled every epoch and augmented."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from service.types import Images, Labels
from training.config import Config
from training.data import augment, synthetic
from training.data.loading import Split

EVALUATION_BATCH = 1000
CLASSES = 10
FEWEST_NON_DIGITS, MOST_NON_DIGITS = 1_000, 60_000  # drawn; a long fit shows each twice
# Printed digits vary more in size than MNIST's, which all fill 20 pixels; non-digits vary more.
PRINTED = Config(shift=2.8, rotation=10, scale=0.25, shear=12)
WRITTEN = Config(shift=2.25, rotation=10, scale=0.15, shear=8, elastic=0.4)
NON_DIGITS = Config(shift=2.8, rotation=19, scale=0.14, shear=12, elastic=0.4)


def training_batches(split: Split, config: Config, first_epoch: int = 0) -> tf.data.Dataset:
    """Returns endless batches, shuffled every epoch: images (b, 28, 28) uint8, targets (b, 10).

    All depends only on the seed, the epoch and the step. Each batch holds ``batch_size`` images of
    MNIST, then printed digits, written digits, non-digits and what people labelled, with weights
    (b,) as a third part if those weigh more or less than the rest.
    """
    images = split.train_images
    all_images, all_labels = tf.constant(images), tf.constant(split.train_labels)
    count = len(images)
    steps = math.ceil(count / config.batch_size)
    others = _others(split, config)
    weighs = bool(split.labelled and config.feedback_share) and config.feedback_weight != 1

    def epoch_of(epoch: Any) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(count), seed=tf.stack((config.seed, epoch))
        )
        return tf.data.Dataset.from_tensor_slices(order).batch(config.batch_size)

    def batch_of(step: Any, indices: Any) -> tuple[Any, ...]:
        """Returns the augmented and corrupted images of one step, and their targets (n, 10)."""
        seed = tf.stack((config.seed, step))
        batch = tf.gather(all_images, indices)
        if any((config.shift, config.rotation, config.scale, config.shear, config.elastic)):
            batch = augment.change(batch, config, seed)
        targets = tf.one_hot(tf.gather(all_labels, indices), CLASSES)
        batch = _corrupted(batch, config, seed)
        parts = [(batch, targets), *(other(seed) for other in others)]
        images, targets = (tf.concat(part, axis=0) for part in zip(*parts, strict=True))
        if not weighs:
            return images, targets
        last = _rows(config, config.feedback_share)
        weights = tf.ones(tf.shape(images)[0] - last), tf.fill((last,), config.feedback_weight)
        return images, targets, tf.concat(weights, axis=0)

    return (
        tf.data.Dataset.counter(first_epoch)
        .flat_map(epoch_of)
        .enumerate(first_epoch * steps)
        .map(batch_of, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def validation_batches(split: Split) -> tf.data.Dataset | None:
    """Returns the validation images in order and their targets; None if there are none."""
    if not len(split.validation_images):
        return None
    pair = (split.validation_images, np.eye(CLASSES, dtype=np.float32)[split.validation_labels])
    return tf.data.Dataset.from_tensors(pair).unbatch().batch(EVALUATION_BATCH).cache()


def _corrupted(batch: Any, config: Config, seed: Any) -> Any:
    if not config.corruption:
        return batch
    rows = _rows(config, config.corruption / len(augment.KINDS))
    # The last batch of an epoch can be smaller.
    rows = tf.minimum(rows, tf.shape(batch)[0] // len(augment.KINDS))
    pixels = augment.corrupt(tf.cast(batch, tf.float32), rows, seed)
    return tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)


def _rows(config: Config, share: float) -> int:
    """Returns a share of the batch, at least one image."""
    return max(1, round(config.batch_size * share))


def _others(split: Split, config: Config) -> list[Callable[[Any], tuple[Any, Any]]]:
    """Returns the functions that draw what a step adds to the digits of MNIST."""
    digits = split.train_images
    count = round(config.epochs * len(digits) * config.non_digits)
    count = min(max(count, FEWEST_NON_DIGITS), MOST_NON_DIGITS)

    def non_digits() -> tuple[Images, Labels]:
        pictures = synthetic.non_digits(digits, config.seed, count)
        return pictures, np.full(len(pictures), -1)

    wanted: list[tuple[float, Config, int, Callable[[], Any]]] = [
        (config.printed, PRINTED, 1000, synthetic.printed_digits),
        (config.written, WRITTEN, 3000, lambda: synthetic.written_digits(config.seed)),
        (config.non_digits, NON_DIGITS, 2000, non_digits),
        (config.feedback_share if split.labelled else 0, WRITTEN, 4000, lambda: split.labelled),
    ]
    return [
        _drawing(draw(), _rows(config, share), changes, salt)
        for share, changes, salt, draw in wanted
        if share
    ]


def _drawing(
    drawn: tuple[Images, Labels], rows: int, changes: Config, salt: int
) -> Callable[[Any], tuple[Any, Any]]:
    """Returns a function that draws ``rows`` changed pictures and their targets from a seed.

    The target of a picture without a digit, -1, is the same for every digit.
    """
    pictures, digits = tf.constant(drawn[0]), drawn[1]
    truth = np.where(digits[:, np.newaxis] < 0, 1 / CLASSES, np.eye(CLASSES)[digits])
    targets = tf.constant(truth, tf.float32)

    def draw(seed: Any) -> tuple[Any, Any]:
        seed = tf.add(seed, (0, salt))
        chosen = tf.random.stateless_uniform((rows,), seed, 0, len(pictures), tf.int32)
        changed = augment.change(tf.gather(pictures, chosen), changes, seed)
        return changed, tf.gather(targets, chosen)

    return draw
