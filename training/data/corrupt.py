"""Damages digits as pens, cameras and scanners do: thicker, thinner, paler, noisy, blurred, coarse.

Each function maps (n, 28, 28) float32 0..255 and a (2,) seed to the same shape. The strength is
random for each image, up to the point where people begin to hesitate.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


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
