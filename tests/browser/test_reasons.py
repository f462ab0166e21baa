"""The reasons of an answer on the page: the layers, the change, what is alike, the replay."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, SCREENS, Opener
from tests.browser.hand import DIGITS, answer, box_of, draw, slanted

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def explained(page: Page) -> None:
    draw(page, DIGITS[4], slanted)
    page.get_by_role("button", name="Why?").click()
    expect(page.locator("#otherwise-words")).to_contain_text("% sure")


@pytest.mark.parametrize("screen", SCREENS)
def test_reasons_are_shown_and_follow_the_pen(open_page: Opener, screen: str) -> None:
    page = open_page(SCREENS[screen])
    explained(page)
    layer, pad = page.locator("#drawn-why"), box_of(page.locator("#canvas"))
    lain, drawn = box_of(layer), box_of(page.locator("#box"))
    # The digit takes 20 of the 28 pixels, and its centre of mass is in their middle.
    assert lain["width"] == pytest.approx(28 / 20 * drawn["height"], rel=0.06)
    assert abs(lain["x"] + lain["width"] / 2 - drawn["x"] - drawn["width"] / 2) < pad["width"] / 8
    expect(page.locator("#seen-why")).to_be_visible()
    expect(page.locator("#nearest img")).to_have_count(5)
    expect(page.locator("#nearest img").first).to_have_attribute(
        "alt", re.compile(r"Training image \d+, labelled 4")
    )
    before = layer.get_attribute("src")
    page.evaluate("scrollTo(0, 0)")  # on a phone the reasons are below the pad
    draw(page, DIGITS[1], lambda x, y: (x - 0.1, y))
    expect(layer).not_to_have_attribute("src", before or "")
    page.keyboard.press("Escape")
    expect(layer).to_be_hidden()
    expect(page.locator("#otherwise-words")).to_have_text("Draw one digit, and rest the pen.")


def test_the_change_to_a_chosen_digit_is_a_film(desktop: Page) -> None:
    explained(desktop)
    desktop.get_by_label("What would make it").select_option("9")
    words = desktop.locator("#otherwise-words")
    expect(words).to_have_text(
        re.compile(r"With \d+ pixels of ink changed it is read as a 9, [0-9.]+ % sure\.")
    )
    canvas = desktop.get_by_role("img", name="The change from 4 to 9")
    picture = "canvas => canvas.toDataURL()"
    desktop.wait_for_timeout(2000)
    end = canvas.evaluate(picture)
    desktop.get_by_role("button", name="Show the change again").click()
    assert canvas.evaluate(picture) != end
    desktop.get_by_label("What would make it").select_option("4")
    expect(words).to_have_text("It is read as a 4 already.")
    expect(canvas).to_be_hidden()


def test_the_change_is_shown_at_once_under_reduced_motion(open_page: Opener) -> None:
    page = open_page(DESKTOP, reduced_motion="reduce")
    explained(page)
    pictures = page.locator("#otherwise").evaluate(
        """async (canvas) => {
          const opaque = () => canvas.getContext("2d").getImageData(0, 0, 1, 1).data[3];
          while (!opaque()) await new Promise(requestAnimationFrame);
          const first = canvas.toDataURL();
          await new Promise((done) => setTimeout(done, 500));
          return [first, canvas.toDataURL()];
        }"""
    )
    assert pictures[0] == pictures[1]
    expect(page.get_by_role("button", name="Show the change again")).to_be_hidden()


def test_a_replay_shows_the_answer_from_stroke_to_stroke(desktop: Page) -> None:
    draw(desktop, DIGITS[4])
    answer(desktop)
    desktop.evaluate(
        """() => new MutationObserver(([change]) => {
          window.replayed ??= change.target.classList.contains("replaying");
        }).observe(document.getElementById("pad"), {attributeFilter: ["class"]})"""
    )
    desktop.get_by_role("button", name="Replay").click()
    moments = desktop.locator("#moments img")
    expect(moments.last).to_have_attribute("alt", re.compile(r"4, [0-9.]+ % sure"))
    assert moments.count() >= 4
    desktop.wait_for_function("window.replayed")
    expect(desktop.locator("#pad.replaying")).to_have_count(0)
    expect(desktop.locator("#digit")).to_have_text("4")
    draw(desktop, [[(0.2, 0.8), (0.25, 0.85)]])
    expect(moments).to_have_count(0)


def test_with_reasons_one_request_runs_at_a_time(open_page: Opener) -> None:
    """Each stroke asks for the reasons of what is there by then, and for nothing older."""
    script = """
    window.most = 0; let running = 0; const ask = window.fetch;
    window.fetch = async (...given) => {
      most = Math.max(most, ++running);
      try { return await ask(...given); } finally { running -= 1; }
    };"""
    page = open_page(DESKTOP, script)
    explained(page)
    for digit in (7, 2):
        page.keyboard.press("Escape")
        draw(page, DIGITS[digit])
        expect(page.locator("#nearest img").first).to_have_attribute(
            "alt", re.compile(rf"labelled {digit}")
        )
    assert page.evaluate("most") == 1
