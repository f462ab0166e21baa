"""Drawing on the page: it reads the ten digits, moves the bars at once, and undoes strokes."""

from __future__ import annotations

import re
from statistics import median

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PATIENCE_S, PHONE, Opener
from tests.browser.hand import (
    DIGITS,
    OTHERWISE,
    answer,
    box_of,
    draw,
    highest_bar,
    huge,
    neat,
    places,
    slanted,
    small,
    tiny,
    touch,
    write,
)
from tests.server import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Counts overlapping requests, and measures the time from each touch of the pad to the bars' change.
SPY = """
window.spy = {running: 0, most: 0, asked: 0, moves: 0, delays: []};
const ask = window.fetch;
window.fetch = async (...given) => {
  spy.asked += 1;
  spy.most = Math.max(spy.most, ++spy.running);
  try { return await ask(...given); } finally { spy.running -= 1; }
};
addEventListener("pointerdown", (event) => { spy.since = event.timeStamp; }, true);
addEventListener("pointermove", () => { spy.moves += 1; }, true);
addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
  if (spy.since) spy.delays.push(performance.now() - spy.since);
  spy.since = null;
}).observe(document.getElementById("bars"), {subtree: true, attributes: true, childList: true}));
"""


# The milliseconds of a request without work, up to the frame that would show its answer.
BARE = """
async () => {
  const start = performance.now();
  await (await fetch("health/live")).json();
  await new Promise(requestAnimationFrame);
  return performance.now() - start;
}
"""

HANDS = {
    "neat": (DESKTOP, draw, DIGITS, neat),
    "slanted": (DESKTOP, draw, DIGITS, slanted),
    "small": (DESKTOP, draw, DIGITS, small),
    "tiny": (DESKTOP, draw, DIGITS, tiny),
    "huge": (DESKTOP, draw, OTHERWISE, huge),
    "pen": (DESKTOP, write, OTHERWISE, neat),
    "finger": (PHONE, touch, DIGITS, neat),
    "slanted-finger": (PHONE, touch, OTHERWISE, slanted),
}


@pytest.mark.parametrize(
    "hand",
    [
        pytest.param(hand, marks=[] if hand == "slanted-finger" else pytest.mark.campaign)
        for hand in HANDS
    ],
)
def test_all_ten_digits_are_read_from_strokes(open_page: Opener, hand: str) -> None:
    screen, put, digits, style = HANDS[hand]
    page = open_page(screen)
    read = {}
    for digit, strokes in digits.items():
        put(page, strokes, style)
        said = answer(page)
        read[digit] = (highest_bar(page), said[0])
        # A float32 may round to 1, but the page must not claim certainty.
        expect(page.locator("#sure")).not_to_have_text("100.0 % sure")
        page.keyboard.press("Escape")
    assert read == {digit: (digit, str(digit)) for digit in digits}
    assert page.evaluate("scrollY") == 0


def sure(said: str) -> int | None:
    """Returns the digit, if the page speaks only the digit and its confidence."""
    found = re.fullmatch(r"(\d), [0-9.]+ % sure\.", said)
    return int(found[1]) if found else None


def test_a_stroke_continues_where_it_returns_to_the_pad(page: Page) -> None:
    draw(page, [[(0.5, 0.2), (0.47, 0.9), (0.6, 1.3), (0.46, 0.95), (0.5, 0.3)]])
    assert answer(page).startswith("1, ")
    page.keyboard.press("Control+z")
    expect(page.locator("#sure")).to_have_text("Nothing to read yet")


def test_a_stroke_may_begin_beside_the_pad(desktop: Page) -> None:
    """It is one stroke from its start, however far the hand moves between two events."""
    for stroke in ([(0.53, -0.03), (0.48, 0.8)], [(-0.06, 0.2), (0.7, 0.2), (0.42, 0.85)]):
        draw(desktop, [stroke])
        assert answer(desktop)[:3] == f"{7 if len(stroke) == 3 else 1}, "
        assert desktop.evaluate("getSelection().toString()") == ""
        desktop.keyboard.press("Control+z")
        expect(desktop.locator("#sure")).to_have_text("Nothing to read yet")


def test_a_pointer_that_crosses_the_pad_without_drawing_leaves_no_ink(desktop: Page) -> None:
    """It selects text, holds a button, or was released outside."""
    pad = box_of(desktop.locator("#canvas"))
    for selector in ("#sure", "#choose"):
        desktop.locator(selector).hover()
        desktop.mouse.down()
        desktop.mouse.move(pad["x"] + 100, pad["y"] + 100, steps=5)
        desktop.mouse.up()
    desktop.mouse.move(pad["x"] - 20, pad["y"] + 100)
    desktop.mouse.down()
    desktop.mouse.up()
    desktop.mouse.move(pad["x"] + 100, pad["y"] + 100, steps=5)
    expect(desktop.get_by_role("button", name="Undo")).to_be_disabled()


def test_the_corners_of_a_fast_hand_stay_corners(page: Page) -> None:
    """A hurried 4 may have only four points; rounded corners would turn it into hooks."""
    draw(page, [[(0.62, 0.82), (0.62, 0.2), (0.3, 0.6), (0.74, 0.6)]])
    assert sure(answer(page)) == 4
    page.keyboard.press("Escape")
    draw(page, [[(0.4, 0.34), (0.53, 0.2), (0.53, 0.8)]])
    assert sure(answer(page)) == 1


def test_selected_text_is_not_dragged_along(desktop: Page) -> None:
    desktop.keyboard.press("Control+a")
    for put in (draw, write):
        put(desktop, OTHERWISE[4])
        assert answer(desktop).startswith("4, ")
        desktop.keyboard.press("Escape")


def test_a_pen_takes_over_from_the_hand_that_holds_it(open_page: Opener) -> None:
    page = open_page(PHONE)
    session = page.context.new_cdp_session(page)
    [(x, y)] = places(page, [(0.8, 0.9)], neat)
    palm = {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}
    session.send("Input.dispatchTouchEvent", palm)
    write(page, DIGITS[3])
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert sure(answer(page)) == 3


def test_the_bars_follow_the_pen_within_a_tenth_of_a_second(open_page: Opener) -> None:
    """On a busy machine, within six times a request without work. ``-s`` prints both."""
    page = open_page(DESKTOP, SPY)
    pad = box_of(page.locator("#canvas"))
    bare = []
    for step in range(30):
        page.mouse.move(pad["x"] + 120 + 6 * step, pad["y"] + 200)
        page.mouse.down()
        page.mouse.up()
        wait_until(lambda step=step: page.evaluate("spy.delays.length") > step, PATIENCE_S)
        bare.append(page.evaluate(BARE))
    delays = page.evaluate("spy.delays")[5:]
    print(f"stroke to bars: {median(delays):.0f} ms (median), {max(delays):.0f} ms (most)")
    print(f"request without work: {median(bare):.0f} ms (median), {max(bare):.0f} ms (most)")
    assert median(delays) < max(100, 6 * median(bare)), (delays, bare)


def test_while_drawing_one_request_runs_at_a_time_and_the_last_one_wins(open_page: Opener) -> None:
    page = open_page(DESKTOP, SPY)
    pad = box_of(page.locator("#canvas"))
    page.mouse.move(pad["x"] + 240, pad["y"] + 80)
    page.mouse.down()
    page.mouse.move(pad["x"] + 220, pad["y"] + 380, steps=200)
    page.mouse.up()
    assert answer(page).startswith("1, ")
    spied = page.evaluate("spy")
    assert spied["most"] == 1
    assert 3 < spied["asked"] < spied["moves"]


def test_undo_removes_the_last_stroke_and_reverts_clear(page: Page) -> None:
    undo, clear = page.get_by_role("button", name="Undo"), page.get_by_role("button", name="Clear")
    sure = page.locator("#sure")
    expect(undo).to_be_disabled()
    expect(clear).to_be_disabled()

    draw(page, DIGITS[1])
    assert answer(page).startswith("1, ")
    draw(page, DIGITS[0])
    undo.click()
    assert answer(page).startswith("1, ")
    clear.click()
    expect(sure).to_have_text("Nothing to read yet")
    expect(clear).to_be_disabled()
    assert highest_bar_share(page) == 0
    page.keyboard.press("Control+z")
    assert answer(page).startswith("1, ")
    page.keyboard.press("Control+z")
    expect(sure).to_have_text("Nothing to read yet")
    expect(undo).to_be_disabled()


def test_the_page_shows_the_models_input_and_its_box(page: Page) -> None:
    draw(page, DIGITS[0])
    answer(page)
    seen = page.get_by_alt_text("The 28 by 28 pixels that the model read")
    assert seen.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [28, 28]
    assert seen.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    expect(page.locator("#seen-words")).to_contain_text("Dark ink on a light ground.")
    pad, box = box_of(page.locator("#canvas")), box_of(page.locator("#box"))
    ends = [
        (box["x"] - pad["x"]) / pad["width"],
        (box["y"] - pad["y"]) / pad["height"],
        (box["x"] + box["width"] - pad["x"]) / pad["width"],
        (box["y"] + box["height"] - pad["y"]) / pad["height"],
    ]
    pen = 0.065 / 2
    assert ends == pytest.approx([0.32 - pen, 0.2 - pen, 0.68 + pen, 0.8 + pen], abs=0.02)


def test_clear_ends_the_stroke_under_the_pen(desktop: Page) -> None:
    pad = box_of(desktop.locator("#canvas"))
    desktop.mouse.move(pad["x"] + 100, pad["y"] + 100)
    desktop.mouse.down()
    desktop.keyboard.press("Escape")
    desktop.mouse.move(pad["x"] + 200, pad["y"] + 200, steps=5)
    desktop.mouse.up()
    expect(desktop.locator("#sure")).to_have_text("Nothing to read yet")


def highest_bar_share(page: Page) -> float:
    texts = page.locator("#bars .unseen").all_text_contents()
    return max(float(text.split(": ")[1].removesuffix(" %")) for text in texts)


def test_several_digits_are_read_as_a_whole_number(page: Page) -> None:
    draw(page, DIGITS[1], lambda x, y: (0.6 * x, 0.2 + 0.6 * y))
    draw(page, DIGITS[2], lambda x, y: (0.4 + 0.6 * x, 0.2 + 0.6 * y))
    said = answer(page)
    assert "There is more than one digit here." in said
    assert said.endswith("The whole number is 1 2.")
    digits = page.get_by_role("list", name="The digits read").get_by_role("button")
    assert digits.all_inner_texts() == ["1", "2"]
    for index, digit in enumerate((1, 2)):
        digits.nth(index).focus()
        expect(page.locator("#sure")).to_have_text(re.compile(rf"{digit}: [0-9.]+ % sure"))
        assert highest_bar(page) == digit
        assert box_of(page.locator(".box.chosen"))["width"] > 0
    expect(page.locator(".box:visible")).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    assert answer(page).startswith("1, ")
    expect(digits).to_have_count(0)
