from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

from tests.training.digits import few
from training.config import Config
from training.data import split

AFFINE: dict[str, Any] = {"shift": 2.0, "rotation": 10.0, "scale": 0.1, "shear": 5.0}


def take(count: int, config: Config, first_epoch: int = 0) -> list[tuple[Any, Any]]:
    from training import batches

    digits = few()
    endless = batches.training_batches(
        digits.train_images, digits.train_labels, config, first_epoch
    )
    return [(np.asarray(images), np.asarray(labels)) for images, labels in islice(endless, count)]


def test_an_epoch_shows_every_image_once_with_its_label_and_each_epoch_in_another_order() -> None:
    digits = few()
    batches = take(26, Config(batch_size=32))
    assert [len(labels) for _, labels in batches[:13]] == [32] * 12 + [16]
    orders = []
    for epoch in (batches[:13], batches[13:]):
        images = np.concatenate([images for images, _ in epoch])
        labels = np.concatenate([labels for _, labels in epoch])
        seen = [(bytes(image), int(label)) for image, label in zip(images, labels, strict=True)]
        given = zip(map(bytes, digits.train_images), map(int, digits.train_labels), strict=True)
        assert sorted(seen) == sorted(given)
        orders.append(seen)
    assert orders[0] != orders[1]


def test_a_run_may_begin_at_any_epoch_and_sees_what_it_would_have_seen() -> None:
    config = Config(batch_size=32, **AFFINE)
    whole, resumed = take(26, config), take(13, config, first_epoch=1)
    for (images, labels), (same_images, same_labels) in zip(whole[13:], resumed, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)


def test_the_largest_seed_is_a_seed() -> None:
    """Seeds go beyond what TensorFlow's usual integers hold."""
    (first, _), (other, _) = (take(1, Config(seed=seed, **AFFINE))[0] for seed in (2**32 - 1, 0))
    assert (first != other).any()


def test_augmentation_shows_every_epoch_something_new() -> None:
    config = Config(batch_size=400, **AFFINE)
    first, second = (sorted(map(bytes, images)) for images, _ in take(2, config))
    assert not set(first) & set(second)


def test_validation_batches_show_every_image_once_in_order() -> None:
    from training import batches

    parts = split(few(), 0.25, seed=0)
    shown = [np.asarray(images) for images, _ in batches.validation_batches(parts) or ()]
    np.testing.assert_array_equal(np.concatenate(shown), parts.validation_images)
    assert batches.validation_batches(split(few(), 0.0, seed=0)) is None
