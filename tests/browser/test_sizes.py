"""The page on small, low, rotated and zoomed screens: nothing is cut off, too small or moved."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator

from tests.browser.conftest import PHONE, SCREENS, Opener
from tests.browser.hand import DIGITS, answer, box_of, draw, touch
from tests.browser.test_access import show_everything
from tests.server import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize(
    ("screen", "width", "letters"),
    [
        (PHONE, 320, "100%"),
        (PHONE, 360, "100%"),
        (PHONE, 768, "100%"),
        ({}, 390, "200%"),
        ({}, 1280, "200%"),
    ],
)
def test_no_view_is_wider_than_the_screen(
    open_page: Opener, screen: dict[str, Any], width: int, letters: str
) -> None:
    page = open_page({**screen, "viewport": {"width": width, "height": 800}})
    page.evaluate("size => { document.documentElement.style.fontSize = size; }", letters)
    size = {"100%": "16px", "200%": "32px"}[letters]
    assert page.evaluate("getComputedStyle(document.body).fontSize") == size
    show_everything(page)
    for tab in ("Draw", "Test", "Review", "Model"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") == width


def shorter_side(element: Locator) -> float:
    box = box_of(element)
    return min(box["width"], box["height"])


@pytest.mark.parametrize("screen", SCREENS)
def test_every_control_is_large_enough_to_hit(open_page: Opener, screen: str) -> None:
    """24 CSS pixels (WCAG 2.2, 2.5.8), and 44 for the drawing tools."""
    page = open_page(SCREENS[screen])
    show_everything(page)
    for tab in ("Draw", "Test", "Review", "Model"):
        page.get_by_role("tab", name=tab).click()
        controls = page.locator("button:visible, a:visible").all()
        assert controls
        assert min(map(shorter_side, controls)) >= 24
    page.get_by_role("tab", name="Draw").click()
    buttons = page.get_by_role("group", name="Drawing tools").get_by_role("button").all()
    assert len(buttons) >= 3
    assert min(map(shorter_side, buttons)) >= 44


@pytest.mark.parametrize(("width", "height"), [(360, 740), (390, 844), (1200, 800)])
def test_neither_doubt_nor_number_moves_the_bars(
    open_page: Opener, width: int, height: int
) -> None:
    page = open_page({"viewport": {"width": width, "height": height}})
    before = box_of(page.locator("#bars"))
    draw(page, DIGITS[4], lambda x, y: (0.6 * x, y))
    draw(page, DIGITS[2], lambda x, y: (0.4 + 0.6 * x, y))
    assert answer(page).endswith("The whole number is 4 2.")
    assert box_of(page.locator("#bars")) == before


@pytest.mark.parametrize(("width", "height"), [(667, 375), (640, 400), (1280, 600), (844, 390)])
def test_pad_buttons_and_bars_fit_into_a_low_window(
    open_page: Opener, width: int, height: int
) -> None:
    """A phone in landscape, a desktop at 200 %."""
    page = open_page({**PHONE, "viewport": {"width": width, "height": height}})
    for name in ("#pad", "#undo", "#choose", "#bars"):
        box = box_of(page.locator(name))
        assert box["y"] + box["height"] <= height, name


def test_a_drawing_survives_the_rotation_of_a_phone(open_page: Opener) -> None:
    page = open_page(PHONE)
    touch(page, DIGITS[3], lambda x, y: (x - 0.2, y))
    page.set_viewport_size({"width": 740, "height": 360})
    # The page repaints the canvas with the next frame, at the screen's resolution.
    sharp = "canvas => Math.abs(canvas.width - 2 * canvas.clientWidth) <= 1"
    wait_until(lambda: page.locator("#canvas").evaluate(sharp), 60)
    touch(page, [[(0.6, 0.2), (0.6, 0.8)]])
    assert answer(page).endswith("The whole number is 3 1.")


def test_on_a_phone_the_bars_are_visible_while_drawing(open_page: Opener) -> None:
    page = open_page(PHONE)
    bars = box_of(page.locator("#bars"))
    assert bars["y"] + bars["height"] <= 740
