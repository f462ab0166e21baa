"""What reasons are compared with: brute force, occlusion, and blends with training images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.reasons.otherwise import Otherwise, search
from service.reasons.shapley import Image, Patches, cells, footprints, keep
from service.reasons.steps import finish
from service.types import Images, Probabilities
from tests.service.imaging.champion import champion
from tests.service.reasons.mnist import training_images
from training.export.verify import run


def ask(images: Images) -> Probabilities:
    """The champion's probabilities, for images in the form that the service's queue takes."""
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    return run(champion(), images)


def per_patch(values: NDArray[np.float32], patches: Patches) -> NDArray[np.float64]:
    inked = patches >= 0
    return np.bincount(patches[inked], values[inked].astype(np.float64)).astype(np.float64)


def from_orders(image: Image, patches: Patches, pairs: int) -> NDArray[np.float64]:
    """What each patch adds when it comes, in the mean over random orders and their reverses."""
    digit, count = int(ask(image[None])[0].argmax()), int(patches.max()) + 1
    random, total = np.random.default_rng(0), np.zeros(count)
    for _ in range(pairs // 8):
        orders = [random.permutation(count) for _ in range(8)]
        orders += [order[::-1] for order in orders]
        rank = np.argsort(orders, axis=1)
        sets = (rank[:, None] < np.arange(count + 1)[:, None]).reshape(-1, count)
        worth = ask(keep(image, patches, sets))[:, digit].astype(np.float64)
        gains = np.diff(worth.reshape(16, -1), axis=1)
        for order, gain in zip(orders, gains, strict=True):
            total[order] += gain
    return total / (pairs // 8 * 16)


def by_occlusion(image: Image, digit: int) -> NDArray[np.float64]:
    """What the probability loses without each patch, spread over it as the attributions are."""
    patches = cells(image)
    without = keep(image, patches, ~np.eye(int(patches.max()) + 1, dtype=bool))
    whole, *left = ask(np.concatenate([image[None], without]))[:, digit].tolist()
    worth: NDArray[np.float64] = np.tensordot(whole - np.array(left), footprints(image, patches), 1)
    return worth


def change(image: Image, digit: int) -> Otherwise | None:
    examples = [each.image for each in training_images().nearest(image, 7, digit)]
    return finish(search(image, digit, examples), ask)


def least_blend(image: Image, digit: int) -> float:
    """The ink of the least blend with the nearest image of the digit that is read as the digit."""
    nearest = training_images().nearest(image, 1, digit)[0].image.astype(float)
    share = np.linspace(0, 1, 41)[1:, None, None]
    blends = np.round(image + share * (nearest - image)).astype(np.uint8)
    changed = np.abs(blends.astype(float) - image).sum((1, 2)) / 255
    enough = ask(blends)[:, digit] >= 0.5
    return float(changed[enough].min()) if enough.any() else np.inf
