"""The page for everyone: by keyboard alone, with a screen reader, in both colour schemes."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, SCREENS, Opener, Witness
from tests.browser.hand import DIGITS, answer, draw

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CONTROLS = {
    "button",
    "link",
    "tab",
    "application",
    "image",
    "table",
    "tabpanel",
    "tablist",
    "group",
}

# The contrast of each text that is shown with the ground behind it (WCAG 2.2, 1.4.3).
CONTRASTS = """
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba("white");
  };
  const luminance = (colour) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, index) => {
    const part = colour[index] / 255;
    return sum + weight * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  }, 0);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const isShown = walker.currentNode.textContent.trim() && element.checkVisibility();
    if (!isShown || element.closest(".unseen, noscript, script, :disabled")) continue;
    const pair = [rgba(getComputedStyle(element).color), ground(element)].map(luminance);
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    found.push([walker.currentNode.textContent.trim(), ratio]);
  }
  return found;
}
"""


def show_everything(page: Page) -> None:
    """Goes through all views, each filled."""
    draw(page, DIGITS[2])
    answer(page)
    page.get_by_role("tab", name="Test").click()
    page.get_by_role("button", name="Run the test").click()
    expect(page.get_by_role("table")).to_be_visible(timeout=60_000)
    page.get_by_role("tab", name="Model").click()
    expect(page.get_by_role("table").first).to_be_visible()


def test_by_keyboard_alone_a_digit_is_drawn_undone_and_cleared(desktop: Page) -> None:
    press = desktop.keyboard.press
    press("Tab")
    expect(desktop.get_by_role("tab", name="Draw")).to_be_focused()
    press("Tab")
    expect(desktop.get_by_role("link", name="API")).to_be_focused()
    press("Tab")
    expect(desktop.get_by_role("application", name="Drawing pad")).to_be_focused()
    expect(desktop.locator("#pen")).to_be_visible()
    for _ in range(4):
        press("Shift+ArrowUp")
    press("Space")
    for _ in range(30):
        press("ArrowDown")
    press("Space")
    assert answer(desktop).startswith("1, ")
    press("Control+z")
    expect(desktop.locator("#sure")).to_have_text("Nothing to read yet")
    press("Space")
    for _ in range(5):
        press("ArrowLeft")
    answer(desktop)
    press("Delete")
    expect(desktop.locator("#sure")).to_have_text("Nothing to read yet")
    press("Tab")
    expect(desktop.get_by_role("button", name="Undo")).to_be_focused()
    press("Tab")  # over Clear, which has nothing to clear
    expect(desktop.get_by_role("button", name="Choose a picture")).to_be_focused()
    with desktop.expect_file_chooser():
        press("Enter")


def test_by_keyboard_alone_the_views_are_reached(desktop: Page) -> None:
    press = desktop.keyboard.press
    press("Tab")
    press("ArrowRight")
    expect(desktop.get_by_role("tab", name="Test")).to_be_focused()
    expect(desktop.get_by_role("tabpanel", name="Test")).to_be_visible()
    for _ in range(3):  # the link, the panel, the button
        press("Tab")
    expect(desktop.get_by_role("button", name="Run the test")).to_be_focused()
    press("Enter")
    expect(desktop.get_by_role("table")).to_be_visible(timeout=60_000)
    expect(desktop.get_by_role("button", name="Run it again")).to_be_focused()
    desktop.get_by_role("tab", name="Test").focus()
    press("End")
    expect(desktop.get_by_role("tabpanel", name="Model")).to_be_visible()
    press("ArrowRight")
    expect(desktop.get_by_role("tabpanel", name="Draw")).to_be_visible()


@pytest.mark.parametrize("screen", SCREENS)
def test_everything_that_can_be_used_or_seen_has_a_name(open_page: Opener, screen: str) -> None:
    page = open_page(SCREENS[screen])
    show_everything(page)
    session = page.context.new_cdp_session(page)
    roles = set()
    for tab in ("Draw", "Test", "Model"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_load_state("networkidle")
        for node in session.send("Accessibility.getFullAXTree")["nodes"]:
            role = node.get("role", {}).get("value")
            if not node["ignored"] and role in CONTROLS:
                roles.add(role)
                assert node["name"]["value"].strip(), node
    assert roles == CONTROLS


def test_the_answer_is_spoken_once_the_pen_rests(desktop: Page) -> None:
    speech = desktop.get_by_role("status").last
    assert speech.get_attribute("aria-live") == "polite"
    draw(desktop, DIGITS[7])
    expect(speech).to_be_empty()
    assert answer(desktop).startswith("7, ")
    assert desktop.locator("#bars .unseen").nth(7).text_content() == "7: 99.9 %"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_every_text_stands_out_from_its_ground(open_page: Opener, screen: str, scheme: str) -> None:
    page = open_page(SCREENS[screen], color_scheme=scheme)
    show_everything(page)
    checked = 0
    for tab in ("Draw", "Test", "Model"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)  # colours pass into each other for a moment
        contrasts = page.evaluate(CONTRASTS)
        checked += len(contrasts)
        assert [pair for pair in contrasts if pair[1] < 4.5] == []
    assert checked > 100


@pytest.mark.parametrize("width", [320, 360, 768])
def test_no_view_is_wider_than_the_screen(open_page: Opener, width: int) -> None:
    page = open_page({**PHONE, "viewport": {"width": width, "height": 740}})
    show_everything(page)
    for tab in ("Draw", "Test", "Model"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_on_a_phone_the_bars_are_seen_while_drawing(open_page: Opener) -> None:
    page = open_page(PHONE)
    bars = page.locator("#bars").bounding_box()
    assert bars is not None
    assert bars["y"] + bars["height"] <= 740


def test_nothing_moves_where_motion_is_unwelcome(open_page: Opener) -> None:
    page = open_page(DESKTOP, reduced_motion="reduce")
    transitions = page.locator("*").evaluate_all(
        "all => all.map(element => getComputedStyle(element).transitionDuration)"
    )
    assert set(transitions) == {"0s"}


def test_the_policy_is_enforced(desktop: Page, witness: Witness) -> None:
    """What an injection would do is refused, and told, so that other tests would see it."""
    desktop.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "document.title = 'taken over'";
          document.body.append(script);
        }"""
    )
    assert desktop.title() == "mnist-serve"
    assert any("Content Security Policy" in complaint for complaint in witness.complaints)
    witness.complaints.clear()


def test_a_button_that_has_nothing_more_to_do_hands_the_focus_on(desktop: Page) -> None:
    draw(desktop, DIGITS[1])
    desktop.get_by_role("button", name="Clear").focus()
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_role("application", name="Drawing pad")).to_be_focused()
    assert answer(desktop) == "The sheet is empty."
