"""The service is unreachable or slow: the page says so, and recovers by itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import DESKTOP, Opener, Witness
from tests.browser.hand import DIGITS, answer, draw

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Records speech about a drawing that changed after the page sent it.
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


def test_the_page_retries_an_unreachable_service(desktop: Page, witness: Witness) -> None:
    error = desktop.get_by_role("alert").first
    desktop.context.set_offline(True)
    draw(desktop, DIGITS[4])
    expect(error).to_have_text("The service cannot be reached. Trying again …")
    expect(desktop.locator("#sure")).to_have_text("Not read")
    desktop.get_by_role("tab", name="Model").click()
    expect(desktop.get_by_role("alert")).to_have_text("The service cannot be reached.")
    desktop.get_by_role("tab", name="Test").click()
    expect(desktop.get_by_role("alert")).to_have_text("The service cannot be reached.")
    expect(desktop.get_by_role("button", name="Try again")).to_be_visible()
    desktop.get_by_role("tab", name="Draw").click()

    desktop.context.set_offline(False)
    assert answer(desktop).startswith("4, ")
    expect(error).to_be_empty()
    assert witness.complaints
    assert all("Failed to load resource" in complaint for complaint in witness.complaints)
    witness.complaints.clear()


def test_a_slow_request_is_shown_and_replaced_by_a_newer_one(desktop: Page) -> None:
    held: list[Route] = []
    desktop.route("**/predict?*", lambda route: route.fallback() if held else held.append(route))
    draw(desktop, [[(0.53, 0.2)]])
    expect(desktop.locator("#sure")).to_have_text("Reading …")
    assert len(held) == 1
    draw(desktop, DIGITS[1])
    assert answer(desktop).startswith("1, ")


def test_the_page_speaks_only_about_the_current_drawing(open_page: Opener) -> None:
    page = open_page(DESKTOP, STALE)
    page.evaluate("window.drawn = '1'")
    draw(page, DIGITS[1])
    page.locator(".most[data-digit='1']").wait_for()
    # The pen continues before the page speaks. The next picture takes longer than the pen rests.
    page.evaluate("[window.drawn, window.delay] = ['4', 900]")
    draw(page, [[(0.53, 0.2), (0.25, 0.6), (0.7, 0.6)]])
    assert answer(page).startswith("4, ")
    assert page.evaluate("stale") == []
