"""When an answer is in doubt."""

from __future__ import annotations

import numpy as np

from service.doubt import doubts
from service.metrics import DOUBTS


def test_an_image_without_ink_is_blank_and_no_other_is() -> None:
    images = np.zeros((4, 28, 28), np.uint8)
    images[1, 13, 13] = 1
    images[3] = 255
    assert doubts(images) == [["blank"], [], ["blank"], []]


def test_every_doubt_that_is_told_is_counted() -> None:
    told = {doubt for reasons in doubts(np.zeros((1, 28, 28), np.uint8)) for doubt in reasons}
    assert told <= set(DOUBTS)
