"""The ink of a digit is told from the gaps that it leaves."""

from __future__ import annotations

import numpy as np
import pytest

from service.imaging.search import search
from service.types import Images


def bars(gap: int, light: Images) -> Images:
    """Dark bars, ``gap`` apart, on a sheet (240, 320) under ``light``."""
    sheet = light.copy()
    for left in range(100, 220, 20 + gap):
        sheet[70:170, left : left + 20] = light[70:170, left : left + 20] // 5
    return sheet


@pytest.mark.parametrize("gap", [8, 14, 22])
@pytest.mark.parametrize("darkest", [230, 120, 60])
def test_the_light_between_dark_strokes_is_no_light_ink(gap: int, darkest: int) -> None:
    falling = np.linspace(235, darkest, 320).astype(np.uint8)
    seen = search(bars(gap, np.tile(falling, (240, 1))))
    assert seen is not None
    assert seen[0].polarity == "dark on light"


def test_the_dark_between_light_strokes_is_no_dark_ink() -> None:
    falling = np.linspace(25, 110, 320).astype(np.uint8)
    seen = search(255 - bars(14, 255 - np.tile(falling, (240, 1))))
    assert seen is not None
    assert seen[0].polarity == "light on dark"
