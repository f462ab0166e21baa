"""Access to the page: by keyboard alone, with a screen reader, in both colour schemes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, SCREENS, Opener, Witness
from tests.browser.hand import DIGITS, answer, draw
from tests.browser.test_files import give

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TABS = {"tab", "tablist", "tabpanel"}
CONTROLS = TABS | {"application", "button", "group", "image", "link", "table"}

# Returns for each visible text: the text, its contrast with its background, and the least contrast
# that it needs: 3 for large text, otherwise 4.5 (WCAG 2.2, 1.4.3).
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
    const least = parseFloat(getComputedStyle(element).fontSize) >= 24 ? 3 : 4.5;
    found.push([walker.currentNode.textContent.trim(), ratio, least]);
  }
  return found;
}
"""

BARS = "".join(f'      - listitem: "/{digit}: [0-9.]+ %/"\n' for digit in range(10))
SPOKEN_VIEW = f"""
- tabpanel "Draw":
  - application "Drawing pad"
  - group "Drawing tools":
    - button "Undo"
    - button "Clear"
    - button "Choose a picture"
  - paragraph: /arrow keys move the pen/
  - group "Answer":
    - paragraph: /[0-9.]+ % sure/
    - list "How likely each digit is":
{BARS}    - img "The 28 by 28 pixels that the model read"
    - heading "What the model saw" [level=2]
    - paragraph: /Dark ink on a light ground/
"""


def show_everything(page: Page) -> None:
    """Opens every view and fills it."""
    draw(page, DIGITS[2])
    answer(page)
    page.get_by_role("button", name="Why?").click()
    expect(page.locator("#otherwise-words")).to_contain_text("% sure")
    page.get_by_role("tab", name="Test").click()
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
    press("Tab")  # skips Clear, which is disabled
    expect(desktop.get_by_role("button", name="Choose a picture")).to_be_focused()
    with desktop.expect_file_chooser():
        press("Enter")


def test_by_keyboard_alone_every_view_opens(desktop: Page) -> None:
    press = desktop.keyboard.press
    press("Tab")
    press("ArrowRight")
    expect(desktop.get_by_role("tab", name="Test")).to_be_focused()
    expect(desktop.get_by_role("tabpanel", name="Test")).to_be_visible()
    expect(desktop.get_by_role("table")).to_be_visible(timeout=60_000)
    for _ in range(3):  # the link, the panel, the first mistake in the matrix
        press("Tab")
    expect(desktop.locator(".confusion button").first).to_be_focused()
    press("Enter")
    expect(desktop.get_by_role("heading", name=re.compile("^[0-9] read as [0-9]$"))).to_be_visible()
    desktop.get_by_role("tab", name="Test").focus()
    press("End")
    expect(desktop.get_by_role("tabpanel", name="Model")).to_be_visible()
    press("ArrowRight")
    expect(desktop.get_by_role("tabpanel", name="Draw")).to_be_visible()


@pytest.mark.parametrize("screen", ["desktop", pytest.param("phone", marks=pytest.mark.campaign)])
def test_every_control_and_image_has_a_name(open_page: Opener, screen: str) -> None:
    page = open_page(SCREENS[screen])
    show_everything(page)
    session = page.context.new_cdp_session(page)
    roles = set()
    for tab in ("Draw", "Test", "Review", "Model"):
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


@pytest.mark.parametrize(
    ("screen", "scheme"),
    [
        pytest.param("desktop", "light", marks=pytest.mark.campaign),
        ("phone", "dark"),
        pytest.param("desktop", "dark", marks=pytest.mark.campaign),
        pytest.param("phone", "light", marks=pytest.mark.campaign),
    ],
)
def test_every_text_contrasts_with_its_background(
    open_page: Opener, witness: Witness, screen: str, scheme: str
) -> None:
    page = open_page(SCREENS[screen], color_scheme=scheme)
    checked: set[str] = set()

    def check() -> None:
        page.wait_for_timeout(300)  # colours change gradually
        contrasts = page.evaluate(CONTRASTS)
        checked.update(text for text, _, _ in contrasts)
        assert [found for found in contrasts if found[1] < found[2]] == []

    check()
    show_everything(page)
    for tab in ("Test", "Review", "Model", "Draw"):
        page.get_by_role("tab", name=tab).click()
        check()
    draw(page, DIGITS[1], lambda x, y: (x - 0.3, y))
    assert "more than one" in answer(page)
    check()
    give(page, "drop", b"seven", "text/plain", copies=2)
    expect(page.locator("#sure")).to_have_text("Not read")
    witness.complaints.clear()  # the browser logs every answer above 399
    check()
    assert {"Draw a digit", "2", "1", "There is more than one digit here.", "Not read"} <= checked
    assert len(checked) > 100


def test_bars_and_tabs_are_visible_in_forced_colours(open_page: Opener) -> None:
    page = open_page(DESKTOP, forced_colors="active")
    draw(page, DIGITS[1])
    answer(page)

    def ground(selector: str) -> str:
        colour: str = page.locator(selector).first.evaluate(
            "element => getComputedStyle(element).backgroundColor"
        )
        return colour

    assert ground(".most .fill") != ground(".most .track")
    assert ground("[aria-selected=true]") != ground("[aria-selected=false]")
    for edge in (".pad", ".track"):
        width = page.locator(edge).first.evaluate("edge => getComputedStyle(edge).borderTopWidth")
        assert width != "0px"


def test_without_scripts_the_page_says_what_it_needs(open_page: Opener) -> None:
    page = open_page(DESKTOP, java_script_enabled=False)
    expect(page.locator("noscript")).to_be_visible()
    expect(page.locator("noscript a")).to_have_attribute("href", "docs")
    expect(page.locator("#pad")).to_be_hidden()
    expect(page.get_by_role("tab")).to_have_count(0)


def test_what_a_screen_reader_finds_in_the_drawing_view(desktop: Page) -> None:
    draw(desktop, DIGITS[7])
    answer(desktop)
    expect(desktop.get_by_role("tabpanel")).to_match_aria_snapshot(SPOKEN_VIEW)


def test_nothing_moves_under_reduced_motion(open_page: Opener) -> None:
    page = open_page(DESKTOP, reduced_motion="reduce")
    transitions = page.locator("*").evaluate_all(
        "all => all.map(element => getComputedStyle(element).transitionDuration)"
    )
    assert set(transitions) == {"0s"}


def test_the_policy_is_enforced(desktop: Page, witness: Witness) -> None:
    """The browser blocks an injected script and logs it, so the other tests would fail."""
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


def test_a_button_that_becomes_disabled_moves_the_focus(desktop: Page) -> None:
    draw(desktop, DIGITS[1])
    desktop.get_by_role("button", name="Clear").focus()
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_role("application", name="Drawing pad")).to_be_focused()
    assert answer(desktop) == "The sheet is empty."
