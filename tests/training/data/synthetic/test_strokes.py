from __future__ import annotations

import numpy as np

from tests.training.digits import champion
from training.data.synthetic import strokes
from training.data.synthetic.fonts import LOOK_ALIKES

NOT_IN_TRAINING = set("KMTXefkw")
NEVER_TRAINED = strokes.DESIGNS["never-trained"]


def test_no_design_looks_like_a_digit_or_is_both_trained_on_and_measured() -> None:
    for designs in (strokes.WRITTEN, NEVER_TRAINED):
        assert not {name[0] for name in designs} & set(LOOK_ALIKES)
    assert not set(map(tuple, strokes.WRITTEN.values())) & set(map(tuple, NEVER_TRAINED.values()))
    assert set(NEVER_TRAINED) > NOT_IN_TRAINING
    assert not {name[0] for name in strokes.WRITTEN} & NOT_IN_TRAINING


def test_a_letter_varies_and_looks_like_itself() -> None:
    drawn = [
        strokes.letters({name: strokes.WRITTEN[name]}, 30, np.random.default_rng(0))
        for name in ("V", "H")
    ]
    for letters in drawn:
        assert letters.shape == (30, 28, 28)
        assert len({bytes(letter) for letter in letters}) == 30
    means = [letters.astype(float).mean(axis=0) for letters in drawn]
    for index, letters in enumerate(drawn):
        distance = [np.linalg.norm(letters - mean, axis=(1, 2)) for mean in means]
        assert (np.argmin(distance, axis=0) == index).mean() > 0.9


def test_digits_use_all_designs_and_match_their_labels() -> None:
    assert {name[0] for name in strokes.DIGITS} == set("0123456789")
    images, labels = strokes.written_digits(500, np.random.default_rng(0))
    assert images.shape == (500, 28, 28)
    assert np.bincount(labels, minlength=10).min() > 15
    assert (champion().run(images).argmax(axis=1) == labels).mean() > 0.95


def test_a_digit_is_twenty_pixels_long_by_pens_fine_and_broad() -> None:
    images, _ = strokes.written_digits(200, np.random.default_rng(1))
    ink = images > 0
    high, wide = ink.any(axis=2).sum(axis=1), ink.any(axis=1).sum(axis=1)
    assert set(np.maximum(high, wide)) == {20}
    coverage = ink.mean(axis=(1, 2))
    assert coverage.max() > 3 * coverage.min()


def test_a_loop_stays_closed_however_far_its_knots_are_displaced() -> None:
    """A 9 whose loop is open is an S."""
    random = np.random.default_rng(2)
    for _ in range(20):
        image = strokes._written(strokes.DIGITS["0"], 8, random, curve=2, astray=0.5)
        ground = image[14] < 64
        inside = np.flatnonzero(np.diff(ground.astype(int)) == 1)
        assert len(inside) == 2, "left of the ring, within it and right of it"
