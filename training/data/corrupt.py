"""What happens to digits on their way: thicker, thinner, paler, noisy, specked, blurred or coarse.

Each function takes (n, 28, 28) float32 0..255 and a (2,) seed and gives the same shape; how much
is drawn for each image, up to a little beyond what a reader still takes for granted.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def corrupt(images: Any, rows: int, seed: Any) -> Any:
    """Corrupts the last rows of a batch, ``rows`` by each kind.

    The images come shuffled, so these are as good as drawn.

    Args:
        images: (n, 28, 28) float32; ``rows`` for each kind must not exceed n.
        seed: (2,) integer tensor.
    """
    first = tf.shape(images)[0] - rows * len(KINDS)
    parts = [images[:first]]
    for index, kind in enumerate(KINDS):
        at = first + index * rows
        parts.append(kind(images[at : at + rows], tf.add(seed, (0, index + 1))))
    return tf.concat(parts, axis=0)


def thicken(images: Any, seed: Any) -> Any:
    """Dilation by 3x3."""
    return tf.nn.max_pool2d(images[..., tf.newaxis], 3, 1, "SAME")[..., 0]


def thin(images: Any, seed: Any) -> Any:
    """Erosion by 2x2."""
    return -tf.nn.max_pool2d(-images[..., tf.newaxis], 2, 1, "SAME")[..., 0]


def fade(images: Any, seed: Any) -> Any:
    """Contrast times 0.25 to 1."""
    return images * _each(images, seed, 0.25, 1.0)


def roughen(images: Any, seed: Any) -> Any:
    """Normal noise of a deviation of up to 0.35 of full ink."""
    noise = tf.random.stateless_normal(tf.shape(images), seed)
    return images + noise * _each(images, tf.add(seed, (0, 100)), 0.0, 90.0)


def speck(images: Any, seed: Any) -> Any:
    """Up to 15 % of the pixels black or white ("salt and pepper")."""
    draw = tf.random.stateless_uniform(tf.shape(images), seed)
    share = _each(images, tf.add(seed, (0, 100)), 0.0, 0.15)
    return tf.where(draw < share / 2, 0.0, tf.where(draw < share, 255.0, images))


def blur(images: Any, seed: Any) -> Any:
    """Gaussian blur of a deviation of 0.4 to 1.3 pixels."""
    deviation = _each(images, seed, 0.4, 1.3)[:, 0]
    kernel = tf.exp(-(tf.range(-3.0, 4.0) ** 2) / (2 * deviation**2))
    kernel /= tf.reduce_sum(kernel, axis=1, keepdims=True)

    def along_rows(field: Any) -> Any:
        padded = tf.pad(field, ((0, 0), (0, 0), (3, 3)))
        return tf.add_n([kernel[:, i, None, None] * padded[:, :, i : i + 28] for i in range(7)])

    turned = tf.transpose(along_rows(images), (0, 2, 1))
    return tf.transpose(along_rows(turned), (0, 2, 1))


def coarsen(images: Any, seed: Any) -> Any:
    """Scanned at two fifths of the resolution, or at half of it, and brought back."""
    half = tf.shape(images)[0] // 2
    return tf.concat([_rescanned(images[:half], 11), _rescanned(images[half:], 14)], axis=0)


KINDS = (thicken, thin, fade, roughen, speck, blur, coarsen)


def _rescanned(images: Any, side: int) -> Any:
    """The mean of the area of each of ``side`` x ``side`` cells, and smooth between them."""
    cells = tf.image.resize(images[..., tf.newaxis], (side, side), "area")
    return tf.image.resize(cells, (28, 28), "bicubic")[..., 0]


def _each(images: Any, seed: Any, low: float, high: float) -> Any:
    """A draw for each image, (n, 1, 1)."""
    return tf.random.stateless_uniform((tf.shape(images)[0], 1, 1), seed, low, high)
