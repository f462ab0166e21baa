"""Shapley values beside their definition, and beside an exact sum over all coalitions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from service.reasons.explain import EXPLAIN_ROWS
from service.reasons.shapley import Attributions, Image, Patches, attribute, cells, clusters, keep
from service.reasons.steps import finish
from service.types import Images, Probabilities
from tests.service.reasons.mnist import digits
from tests.service.reasons.oracles import ask, from_orders, per_patch

Ask = Callable[[Images], Probabilities]


def tangled(images: Images) -> Probabilities:
    """Any function of the patches that is not a sum over them."""
    rows = images.reshape(len(images), -1).astype(np.float64) / 255
    bumps = np.sin(np.arange(784) ** 2 % 97)
    first = 1 / (1 + np.exp(-rows @ bumps))
    return np.stack([first, 1 - first, *[0 * first] * 8], 1).astype(np.float32)


def attributed(image: Image, patches: Patches, rows: int, model: Ask) -> Attributions:
    whole = model(image[None])[0]
    digit = int(whole.argmax())
    return finish(attribute(image, digit, float(whole[digit]), patches, rows), model)


def by_definition(image: Image, patches: Patches, model: Ask) -> NDArray[np.float64]:
    """The mean, over all orders, of what each patch adds when it comes."""
    digit, count = int(model(image[None])[0].argmax()), int(patches.max()) + 1
    sets = np.arange(2**count)[:, None] >> np.arange(count) & 1
    worth = model(keep(image, patches, sets.astype(bool)))[:, digit].astype(np.float64)
    total, orders = np.zeros(count), list(permutations(range(count)))
    for order in orders:
        before = 0
        for patch in order:
            total[patch] += worth[before | 1 << patch] - worth[before]
            before |= 1 << patch
    return total / len(orders)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_with_few_patches_the_values_are_those_of_the_definition(count: int) -> None:
    image = digits(1)[0]
    patches = clusters(image, count)
    found = attributed(image, patches, 128, tangled)
    exact = by_definition(image, patches, tangled)
    assert per_patch(found.values, patches) == pytest.approx(exact, abs=1e-6)
    assert not found.errors.any()


def test_a_sample_is_near_the_sum_over_all_coalitions_as_its_errors_say() -> None:
    alike, too_far = [], []
    for image in digits(8, first=50):
        patches = clusters(image, 11)
        sampled, exact = (attributed(image, patches, rows, ask) for rows in (256, 2**11))
        one, other = (per_patch(each.values, patches) for each in (sampled, exact))
        errors = per_patch(sampled.errors, patches)
        alike.append(np.corrcoef(one, other)[0, 1])
        too_far.append(((one - other) / errors) ** 2)
        assert not exact.errors.any()
        assert errors.all()
    assert np.mean(alike) > 0.9
    assert 0.2 < np.mean(too_far) < 3


def test_they_sum_to_the_confidence_minus_that_of_a_blank_image() -> None:
    for image in digits(5):
        whole, blank = ask(np.stack([image, np.zeros_like(image)]))
        digit = int(whole.argmax())
        for patches, rows in ((clusters(image, 8), 128), (cells(image), 640)):
            found = attributed(image, patches, rows, ask)
            assert found.values.sum(dtype=float) == pytest.approx(
                whole[digit] - blank[digit], abs=1e-5
            )
            assert found.base == pytest.approx(blank[digit], abs=1e-6)


def test_the_same_image_has_the_same_values() -> None:
    image = digits(1)[0]
    one, other = (attributed(image, cells(image), 200, ask) for _ in range(2))
    assert np.array_equal(one.values, other.values)


def test_images_unlike_digits_have_values_too() -> None:
    random = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    for image in (random, np.full((28, 28), 255, np.uint8), np.eye(28, dtype=np.uint8)):
        found = attributed(image, cells(image), 640, ask)
        assert np.isfinite(found.values).all()
        assert found.values.sum() == pytest.approx(ask(image[None]).max() - found.base, abs=1e-5)


@pytest.mark.campaign
def test_on_100_digits_they_are_those_of_brute_force_over_7x7_patches() -> None:
    """Each digit's own attributions, beside 400 pairs of opposite orders of its patches."""
    alike = []
    for image in digits(100, first=1000):
        patches = cells(image)
        found = per_patch(attributed(image, patches, EXPLAIN_ROWS, ask).values, patches)
        alike.append(np.corrcoef(found, from_orders(image, patches, 400))[0, 1])
    assert np.mean(alike) >= 0.95
