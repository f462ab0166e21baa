"""New digits from old ones: small random shifts, turns, stretches and slants of each image.

All images of a batch are resampled in one step by a projective transform each; the randomness
is stateless, so that step ``i`` of seed ``s`` is the same on any thread and after a restart.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from training.config import Config

WILD = 2.3  # times as far
CENTRE = 13.5  # of 28 pixels, counted from the middle of the first


def is_active(config: Config) -> bool:
    """Whether the settings ask for any change at all."""
    return any((config.shift, config.rotation, config.scale, config.shear))


def affine(images: Any, config: Config, seed: Any) -> Any:
    """Moves, turns, stretches and slants each image about its centre, each by its own draw.

    Args:
        images: (n, 28, 28) uint8 tensor.
        seed: (2,) integer tensor; the same seed draws the same changes.

    Returns:
        (n, 28, 28) uint8, resampled bilinearly, background where nothing was.
    """
    draws = tf.random.stateless_uniform((tf.shape(images)[0], 6), seed, -1.0, 1.0)
    turn, slant, wide, high, right, down = tf.unstack(draws, axis=1)
    # The images come shuffled: the first of them are as good as drawn.
    count = tf.cast(tf.shape(images)[0], tf.float32)
    far = tf.where(tf.range(count) < config.wild * count, WILD, 1.0)
    turn, right, down = turn * far, right * far, down * far
    angle = turn * math.radians(config.rotation)
    slope = tf.tan(slant * math.radians(config.shear))
    wide = 1.0 / (1.0 + wide * config.scale)
    high = 1.0 / (1.0 + high * config.scale)
    cos, sin = tf.cos(angle), tf.sin(angle)

    # Output pixel -> input pixel, as the operation wants it: rotation @ slant @ stretch.
    a, b = cos * wide, (cos * slope - sin) * high
    d, e = sin * wide, (sin * slope + cos) * high
    c = CENTRE - a * CENTRE - b * CENTRE + right * config.shift
    f = CENTRE - d * CENTRE - e * CENTRE + down * config.shift
    zero = tf.zeros_like(a)

    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images[..., tf.newaxis],
        transforms=tf.stack((a, b, c, d, e, f, zero, zero), axis=1),
        output_shape=(28, 28),
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )
    return moved[..., 0]
