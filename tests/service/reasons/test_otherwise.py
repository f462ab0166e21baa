from __future__ import annotations

import numpy as np

from service.reasons.otherwise import search
from service.reasons.steps import finish
from tests.service.imaging.champion import champion
from tests.service.reasons.mnist import digits
from tests.service.reasons.oracles import ask, change, least_blend


def test_a_small_change_of_strokes_makes_the_file_say_another_digit() -> None:
    less = []
    for image in digits(20, first=300):
        digit = int(ask(image[None])[0].argsort()[-2])
        found = change(image, digit)
        assert found is not None
        alone = champion().run(found.image[None])[0]
        assert (alone.argmax(), alone[digit] >= 0.5) == (digit, True)
        changed = np.abs(found.image.astype(float) - image)
        assert abs(changed.sum() / 255 - found.changed) < 1e-6
        less.append(found.changed < least_blend(image, digit))
    assert np.mean(less) >= 0.9


def test_a_change_to_any_digit_is_found() -> None:
    image = digits(1)[0]
    assert all(change(image, digit) for digit in range(10) if digit != 7)


def test_without_an_example_that_the_file_reads_as_the_digit_there_is_none() -> None:
    seven, two = digits(2)
    assert finish(search(seven, 9, []), ask) is None
    assert finish(search(seven, 9, [seven]), ask) is None
    assert finish(search(seven, 9, [two]), ask) is None
