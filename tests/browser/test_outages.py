"""The service is away, slow or mute: the page says so, and goes on by itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import DESKTOP, Opener, Witness
from tests.browser.hand import DIGITS, answer, draw

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Tells whether something was spoken of a sheet that had changed since it was sent.
STALE = """
window.stale = [];
addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
  const said = document.getElementById("speech").textContent;
  if (said && !said.startsWith(window.drawn)) stale.push(said);
}).observe(document.getElementById("speech"), {childList: true}));
const pack = OffscreenCanvas.prototype.convertToBlob;
OffscreenCanvas.prototype.convertToBlob = async function (...given) {
  await new Promise((done) => setTimeout(done, window.delay ?? 0));
  return pack.apply(this, given);
};
"""


def test_a_service_that_was_away_is_asked_again(desktop: Page, witness: Witness) -> None:
    error = desktop.get_by_role("alert").first
    desktop.context.set_offline(True)
    draw(desktop, DIGITS[4])
    expect(error).to_have_text("The service cannot be reached. Trying again …")
    expect(desktop.locator("#sure")).to_have_text("Not read")
    desktop.get_by_role("tab", name="Model").click()
    expect(desktop.get_by_role("alert")).to_have_text("The service cannot be reached.")
    desktop.get_by_role("tab", name="Test").click()
    desktop.get_by_role("button", name="Run the test").click()
    expect(desktop.get_by_role("alert")).to_have_text("The service cannot be reached.")
    desktop.get_by_role("tab", name="Draw").click()

    desktop.context.set_offline(False)
    assert answer(desktop).startswith("4, ")
    expect(error).to_be_empty()
    assert witness.complaints
    assert all("Failed to load resource" in complaint for complaint in witness.complaints)
    witness.complaints.clear()


def test_what_takes_long_is_said_and_left_for_what_is_newer(desktop: Page) -> None:
    held: list[Route] = []
    desktop.route("**/predict?*", lambda route: route.fallback() if held else held.append(route))
    draw(desktop, [[(0.53, 0.2)]])
    expect(desktop.locator("#sure")).to_have_text("Reading …")
    assert len(held) == 1
    draw(desktop, DIGITS[1])
    assert answer(desktop).startswith("1, ")


def test_only_what_is_on_the_sheet_is_spoken_of(open_page: Opener) -> None:
    page = open_page(DESKTOP, STALE)
    page.evaluate("window.drawn = '1'")
    draw(page, DIGITS[1])
    page.locator(".most[data-digit='1']").wait_for()
    # The pen goes on before it is spoken, and the next picture takes longer than the pen may rest.
    page.evaluate("[window.drawn, window.delay] = ['4', 900]")
    draw(page, [[(0.53, 0.2), (0.25, 0.6), (0.7, 0.6)]])
    assert answer(page).startswith("4, ")
    assert page.evaluate("stale") == []
