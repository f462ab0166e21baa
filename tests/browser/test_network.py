"""What the network sees: the maps of each layer on the page, live, and by keyboard."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP, ROOT
from tests.browser.hand import DIGITS, answer, draw
from tests.server import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PICTURE = "canvas => canvas.toDataURL()"


def test_the_maps_of_each_layer_follow_the_pen(page: Page, server: Server) -> None:
    page.get_by_role("button", name="Layers").click()
    expect(page.locator("#network-words")).to_contain_text("Draw something")
    draw(page, DIGITS[3])
    answer(page)
    layers = page.locator("#network-layers > li")
    expect(layers).to_have_count(6)
    expect(page.locator("#network-words")).to_contain_text("int8")
    expect(layers.first).to_contain_text("32 maps of 12 \u00d7 12")
    expect(layers.first).to_contain_text("of 256 levels")
    tiles = layers.first.get_by_role("img", name="Its maps")
    before = tiles.evaluate(PICTURE)
    page.keyboard.press("Escape")
    expect(layers).to_have_count(0)
    draw(page, DIGITS[7])
    answer(page)
    expect(layers).to_have_count(6)
    assert tiles.evaluate(PICTURE) != before


def test_a_map_is_chosen_by_keyboard_and_by_pointer(desktop: Page) -> None:
    draw(desktop, DIGITS[3])
    answer(desktop)
    desktop.get_by_role("button", name="Layers").click()
    layer = desktop.locator("#network-layers > li").nth(1)
    slider, large = layer.get_by_role("slider"), layer.get_by_role("img", name="The chosen map")
    expect(layer).to_contain_text(re.compile("Map [0-9]+ of 64"))
    slider.focus()
    desktop.keyboard.press("Home")
    expect(layer).to_contain_text("Map 1 of 64")
    before = large.evaluate(PICTURE)
    desktop.keyboard.press("End")
    expect(layer).to_contain_text("Map 64 of 64")
    assert large.evaluate(PICTURE) != before
    layer.get_by_role("img", name="Its maps").click(position={"x": 3, "y": 3})
    expect(layer).to_contain_text("Map 1 of 64")
    # The slider stays while one draws on.
    slider.focus()
    desktop.keyboard.press("ArrowRight")
    draw(desktop, [[(0.2, 0.8), (0.25, 0.85)]])
    expect(layer).to_contain_text("Map 2 of 64")
    expect(slider).to_have_value("2")


def test_a_version_without_convolutions_says_so(chromium: Browser, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models", tmp_path / "models")
    (tmp_path / "models/mnist/champion").write_text("1\n")
    with serving(tmp_path / "models", tmp_path / "log") as server:
        page = chromium.new_context(**DESKTOP).new_page()
        page.goto(f"http://{server.host}:{server.port}/")
        draw(page, DIGITS[3])
        page.get_by_role("button", name="Layers").click()
        expect(page.locator("#network-words")).to_contain_text("Version 1 has no convolutions")
        page.context.close()
