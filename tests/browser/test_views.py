"""The other two views: the test run, and which model serves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]


def test_the_test_view_shows_accuracy_confusion_and_worst_mistakes(
    page: Page, server: Server
) -> None:
    page.get_by_role("tab", name="Test").click()
    page.get_by_role("button", name="Run the test").click()
    table = page.get_by_role("table")
    expect(table).to_be_visible(timeout=60_000)
    scores = server.request("POST", "/evaluate?dataset=mnist-test").json()

    accuracy = f"{100 * scores['accuracy']:.2f} %"
    expect(page.locator(".figures .value").first).to_have_text(accuracy)
    expect(page.locator("#evaluation-state")).to_contain_text(accuracy)
    rows = table.locator("tbody tr").all()
    matrix = [[int(text) for text in row.locator("td").all_text_contents()] for row in rows]
    assert matrix == scores["confusion_matrix"]
    assert table.get_by_role("rowheader").all_inner_texts() == list("0123456789")
    assert table.get_by_role("columnheader").all_inner_texts() == list("0123456789")

    mistakes = page.locator(".mistakes img")
    expect(mistakes).to_have_count(len(scores["mistakes"]))
    for image, mistake in zip(mistakes.all(), scores["mistakes"], strict=True):
        image.scroll_into_view_if_needed()
        told = f"Test image {mistake['index']}: a {mistake['label']} read as {mistake['digit']}"
        expect(image).to_have_attribute("alt", told)
        image.evaluate("image => image.decode()")
        assert image.evaluate("image => image.naturalWidth") == 28


def test_the_model_view_shows_who_serves_its_card_and_its_curve(page: Page, server: Server) -> None:
    page.get_by_role("tab", name="Model").click()
    model = server.get("/models").json()["models"][0]
    card = json.loads((ROOT / f"models/mnist/{model['champion']}/card.json").read_text())
    expect(page.get_by_role("heading", name=f"Version {model['champion']} serves")).to_be_visible()
    key_figures = page.get_by_role("table", name="Key figures of the serving version")
    expect(key_figures).to_contain_text(f"{card['parameters']:,}")
    expect(key_figures).to_contain_text(f"{100 * card['test']['accuracy']:.2f} %")
    versions = page.get_by_role("table", name="Published versions and their state")
    assert versions.get_by_role("row").count() == len(model["versions"])
    curve = page.get_by_alt_text("Loss and wrong images by epoch")
    curve.evaluate("image => image.decode()")
    assert curve.evaluate("image => image.naturalWidth") > 300


def test_a_view_has_an_address_of_its_own(desktop: Page) -> None:
    desktop.get_by_role("tab", name="Model").click()
    assert desktop.url.endswith("/#model")
    desktop.reload()
    expect(desktop.get_by_role("tab", name="Model")).to_have_attribute("aria-selected", "true")
    expect(desktop.get_by_role("tabpanel", name="Model")).to_be_visible()
    expect(desktop.get_by_role("tabpanel", name="Draw")).to_be_hidden()
