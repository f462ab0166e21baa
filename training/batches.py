"""Feeds images to a fit: shuffled anew every epoch, augmented, in batches, from memory."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from service.decode import Images
from service.decode.labelled import Labels
from training import augment
from training.config import Config
from training.data import Split

EVALUATION_BATCH = 1000


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


def validation_batches(split: Split) -> tf.data.Dataset | None:
    """The images held out, in order; None where there are none."""
    if not len(split.validation_images):
        return None
    pair = (split.validation_images, split.validation_labels)
    return tf.data.Dataset.from_tensors(pair).unbatch().batch(EVALUATION_BATCH).cache()
