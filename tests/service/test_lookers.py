"""The threads that look at pictures."""

from __future__ import annotations

from service.lookers import Lookers


def test_what_warms_them_is_a_picture_with_a_digit_in_it() -> None:
    seen = Lookers(1).warm().result(30)
    assert seen.polarity == "dark on light"
    assert seen.box is not None
