from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from service.types import Images, Labels
from tests.training.digits import few
from training.config import Config
from training.data.loading import split

pytestmark = pytest.mark.usefixtures("few_drawings")

AFFINE: dict[str, Any] = {"shift": 2.0, "rotation": 10.0, "scale": 0.1, "shear": 5.0}


def take(
    count: int,
    config: Config,
    first_epoch: int = 0,
    labelled: tuple[Images, Labels] | None = None,
) -> list[tuple[Any, ...]]:
    from training.data import batches

    parts = replace(split(few(), 0, 0), labelled=labelled)
    endless = batches.training_batches(parts, config, first_epoch)
    return [tuple(map(np.asarray, batch)) for batch in islice(endless, count)]


def test_an_epoch_shows_every_image_once_with_its_label_and_each_epoch_in_another_order() -> None:
    digits = few()
    batches = take(26, Config(batch_size=32))
    assert [len(targets) for _, targets in batches[:13]] == [32] * 12 + [16]
    orders = []
    for epoch in (batches[:13], batches[13:]):
        images, targets = (np.concatenate(part) for part in zip(*epoch, strict=True))
        assert (targets.sum(axis=1) == 1).all()
        labels = targets.argmax(axis=1)
        seen = [(bytes(image), int(label)) for image, label in zip(images, labels, strict=True)]
        given = zip(map(bytes, digits.train_images), map(int, digits.train_labels), strict=True)
        assert sorted(seen) == sorted(given)
        orders.append(seen)
    assert orders[0] != orders[1]


def test_printed_and_written_digits_and_non_digits_come_behind_the_batch() -> None:
    """The target of a digit is that digit; a non-digit's is every digit equally."""
    batches = take(13, Config(batch_size=32, printed=0.1, written=0.2, non_digits=0.3))
    for (images, targets), digits in ((batches[0], 32), (batches[12], 16)):
        assert images.shape == (digits + 3 + 6 + 10, 28, 28)
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(targets[: digits + 9].max(axis=1), 1)
        np.testing.assert_allclose(targets[digits + 9 :], 0.1)


def test_what_people_labelled_comes_last_with_its_weight() -> None:
    drawn = np.zeros((4, 28, 28), np.uint8), np.array([7, 7, -1, 7])
    config = Config(batch_size=32, non_digits=0.1, feedback_share=0.5)
    assert take(1, config)[0][0].shape == (35, 28, 28)
    ((images, targets),) = take(1, config, labelled=drawn)
    assert (images[35:] == 0).all()
    truth = targets[35:]
    assert len(truth) == 16
    is_seven = truth[:, 7] == 1
    assert 0 < is_seven.sum() < 16
    np.testing.assert_allclose(truth[~is_seven], 0.1)
    heavy = config.model_copy(update={"feedback_weight": 3.0})
    ((_, _, weights),) = take(1, heavy, labelled=drawn)
    assert weights.tolist() == [1] * 35 + [3] * 16


@pytest.mark.parametrize(("share", "of_each_kind"), [(0.5, 3), (0.001, 1)])
def test_the_last_images_of_a_batch_are_damaged(share: float, of_each_kind: int) -> None:
    """As many of each of the seven kinds, at least one; the other images stay as they are."""
    (plain, *_), (damaged, *_) = (
        take(1, Config(batch_size=42, corruption=c))[0] for c in (0, share)
    )
    changed = (plain != damaged).any(axis=(1, 2))
    assert changed.tolist() == [index >= 42 - 7 * of_each_kind for index in range(42)]


def test_a_run_may_begin_at_any_epoch_and_sees_what_it_would_have_seen() -> None:
    added: dict[str, Any] = {"corruption": 0.3, "printed": 0.1, "written": 0.1, "non_digits": 0.1}
    config = Config(batch_size=32, wild=0.2, **AFFINE, **added)
    whole, resumed = take(26, config), take(13, config, first_epoch=1)
    for batch, same in zip(whole[13:], resumed, strict=True):
        for part, same_part in zip(batch, same, strict=True):
            np.testing.assert_array_equal(part, same_part)


def test_the_largest_seed_is_a_seed() -> None:
    """Seeds go beyond what TensorFlow's usual integers hold."""
    (first, *_), (other, *_) = (take(1, Config(seed=seed, **AFFINE))[0] for seed in (2**32 - 1, 0))
    assert (first != other).any()


def test_augmentation_shows_every_epoch_something_new() -> None:
    config = Config(batch_size=400, **AFFINE)
    first, second = (sorted(map(bytes, images)) for images, *_ in take(2, config))
    assert not set(first) & set(second)


def test_validation_batches_show_every_image_once_in_order() -> None:
    from training.data import batches

    parts = split(few(), 0.25, seed=0)
    shown = [np.asarray(images) for images, _ in batches.validation_batches(parts) or ()]
    np.testing.assert_array_equal(np.concatenate(shown), parts.validation_images)
    assert batches.validation_batches(split(few(), 0.0, seed=0)) is None
