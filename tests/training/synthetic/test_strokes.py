"""Letters drawn with a pen are those of the designs, none like a digit, and in MNIST's form."""

from __future__ import annotations

import numpy as np

from training.robustness import non_digits
from training.synthetic import strokes
from training.synthetic.fonts import LOOK_ALIKES

NOT_LEARNT = set("KMTXefkw")


def test_designs_leave_out_what_is_written_like_a_digit() -> None:
    for designs in (strokes.WRITTEN, non_digits.STROKES):
        assert not {name[0] for name in designs} & set(LOOK_ALIKES)


def test_no_design_is_both_learnt_and_measured_and_of_some_letters_none_is_learnt() -> None:
    assert not set(strokes.WRITTEN.values()) & set(non_digits.STROKES.values())
    assert set(non_digits.STROKES) > NOT_LEARNT
    assert not {name[0] for name in strokes.WRITTEN} & NOT_LEARNT


def test_a_letter_is_drawn_anew_each_time_and_looks_like_itself() -> None:
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
