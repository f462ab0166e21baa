"""Augmentation: small random changes of each image, and damage as by pens, cameras and scanners.

It resamples every image once, however many changes are set. The random numbers depend on the seed
alone, so that step ``i`` of seed ``s`` is the same on any thread and after a restart.
"""

import math
from typing import Any

import tensorflow as tf

from training.config import Config


def corrupt(images: Any, rows: int, seed: Any) -> Any:
    """Corrupts the last images (n, 28, 28) float32 of a shuffled batch, ``rows`` by each kind."""
    first = tf.shape(images)[0] - rows * len(KINDS)
    parts = [images[:first]]
    for index, kind in enumerate(KINDS):
        at = first + index * rows
        parts.append(kind(images[at : at + rows], tf.add(seed, (0, index + 1))))
    return tf.concat(parts, axis=0)


def thicken(images: Any, seed: Any) -> Any:
    """Dilates by 3x3."""
    return tf.nn.max_pool2d(images[..., tf.newaxis], 3, 1, "SAME")[..., 0]


def thin(images: Any, seed: Any) -> Any:
    """Erodes by 2x2."""
    return -tf.nn.max_pool2d(-images[..., tf.newaxis], 2, 1, "SAME")[..., 0]


def fade(images: Any, seed: Any) -> Any:
    """Multiplies the contrast by 0.25 to 1."""
    return images * _each(images, seed, 0.25, 1.0)


def roughen(images: Any, seed: Any) -> Any:
    """Adds normal noise with a standard deviation of up to 0.35 of full ink."""
    noise = tf.random.stateless_normal(tf.shape(images), seed)
    return images + noise * _each(images, tf.add(seed, (0, 100)), 0.0, 90.0)


def speck(images: Any, seed: Any) -> Any:
    """Sets up to 15 % of the pixels to blank or full ink ("salt and pepper")."""
    draw = tf.random.stateless_uniform(tf.shape(images), seed)
    share = _each(images, tf.add(seed, (0, 100)), 0.0, 0.15)
    return tf.where(draw < share / 2, 0.0, tf.where(draw < share, 255.0, images))


def blur(images: Any, seed: Any) -> Any:
    """Blurs with a Gaussian of 0.4 to 1.3 pixels."""
    deviation = _each(images, seed, 0.4, 1.3)[:, 0]
    kernel = tf.exp(-(tf.range(-3.0, 4.0) ** 2) / (2 * deviation**2))
    kernel /= tf.reduce_sum(kernel, axis=1, keepdims=True)

    def along_rows(field: Any) -> Any:
        padded = tf.pad(field, ((0, 0), (0, 0), (3, 3)))
        return tf.add_n([kernel[:, i, None, None] * padded[:, :, i : i + 28] for i in range(7)])

    turned = tf.transpose(along_rows(images), (0, 2, 1))
    return tf.transpose(along_rows(turned), (0, 2, 1))


def coarsen(images: Any, seed: Any) -> Any:
    """Scans at two fifths or half of the resolution, and scales back."""
    half = tf.shape(images)[0] // 2
    return tf.concat([_rescanned(images[:half], 11), _rescanned(images[half:], 14)], axis=0)


KINDS = (thicken, thin, fade, roughen, speck, blur, coarsen)


def _rescanned(images: Any, side: int) -> Any:
    """Averages the pixels of each of ``side`` x ``side`` cells, and interpolates between them."""
    cells = tf.image.resize(images[..., tf.newaxis], (side, side), "area")
    return tf.image.resize(cells, (28, 28), "bicubic")[..., 0]


def _each(images: Any, seed: Any, low: float, high: float) -> Any:
    """Returns a random number for each image, (n, 1, 1)."""
    return tf.random.stateless_uniform((tf.shape(images)[0], 1, 1), seed, low, high)


WILD = 2.3  # factor on shift and rotation
SIDE = 28  # pixels
CENTRE = 13.5  # pixels, from the middle of the first pixel
KNOTS = 5  # a side, of the grid of the elastic distortion


def change(images: Any, config: Config, seed: Any) -> Any:
    """Moves and distorts each image (n, 28, 28) uint8 by random amounts, from ``seed`` (2,)."""
    draws = tf.random.stateless_uniform((tf.shape(images)[0], 6), seed, -1.0, 1.0)
    draws = draws[..., tf.newaxis, tf.newaxis]
    turn, slant, wide, high, right, down = tf.unstack(draws, axis=1)
    # The batch is shuffled, so that its first images are a random choice.
    count = tf.cast(tf.shape(images)[0], tf.float32)
    far = tf.where(tf.range(count) < config.wild * count, WILD, 1.0)[:, tf.newaxis, tf.newaxis]
    turn, right, down = turn * far, right * far, down * far
    angle = turn * math.radians(config.rotation)
    slope = tf.tan(slant * math.radians(config.shear))
    wide = 1.0 / (1.0 + wide * config.scale)
    high = 1.0 / (1.0 + high * config.scale)

    # From a pixel of the output to a point of the input: rotation @ shear @ scale, centred.
    cos, sin = tf.cos(angle), tf.sin(angle)
    across = tf.range(SIDE, dtype=tf.float32)[tf.newaxis, tf.newaxis, :] - CENTRE
    along = tf.range(SIDE, dtype=tf.float32)[tf.newaxis, :, tf.newaxis] - CENTRE
    a, b = cos * wide, (cos * slope - sin) * high
    d, e = sin * wide, (sin * slope + cos) * high
    x = a * across + b * along + CENTRE + right * config.shift
    y = d * across + e * along + CENTRE + down * config.shift
    if config.elastic:
        pull = _pull(tf.shape(images)[0], config.elastic, tf.add(seed, (0, 5000)))
        x, y = x + pull[..., 0], y + pull[..., 1]
    return _look_up(images, x, y)


def _pull(count: Any, pixels: float, seed: Any) -> Any:
    """Returns smooth displacements (count, 28, 28, 2); ``pixels`` is the deviation at each knot.

    After Simard et al. 2003, "Best Practices for Convolutional Neural Networks Applied to Visual
    Document Analysis"; a coarse grid replaces the smoothing.
    """
    knots = tf.random.stateless_normal((count, KNOTS, KNOTS, 2), seed)
    return tf.image.resize(knots * pixels, (SIDE, SIDE), "bicubic")


def _look_up(images: Any, x: Any, y: Any) -> Any:
    """Samples each image at the points (n, 28, 28), bilinearly, background outside; uint8."""
    side = SIDE + 2  # one pixel of background on every side
    flat = tf.reshape(tf.pad(tf.cast(images, tf.float32), ((0, 0), (1, 1), (1, 1))), (-1,))
    x, y = (tf.clip_by_value(each + 1, 0.0, side - 1.001) for each in (x, y))
    left, top = tf.floor(x), tf.floor(y)
    right, down = x - left, y - top
    at = tf.cast(top * side + left, tf.int32)
    at += (tf.range(tf.shape(images)[0]) * side * side)[:, tf.newaxis, tf.newaxis]
    corner, beside, below, across = (tf.gather(flat, at + step) for step in (0, 1, side, side + 1))
    upper = corner + right * (beside - corner)
    lower = below + right * (across - below)
    return tf.cast(upper + down * (lower - upper), tf.uint8)
