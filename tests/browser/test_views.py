"""The views of the test run and of the serving model."""

from __future__ import annotations

import json
from math import log
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


def test_the_model_view_shows_the_serving_version_its_card_and_its_curve(
    page: Page, server: Server
) -> None:
    page.get_by_role("tab", name="Model").click()
    model = server.get("/models").json()["models"][0]
    card = json.loads((ROOT / f"models/mnist/{model['champion']}/card.json").read_text())
    expect(page.get_by_role("heading", name=f"Version {model['champion']} serves")).to_be_visible()
    key_figures = page.get_by_role("table", name="Key figures of the serving version")
    expect(key_figures).to_contain_text(f"{card['parameters']:,}")
    expect(key_figures).to_contain_text(f"{100 * card['test']['accuracy']:.2f} %")
    versions = page.get_by_role("table", name="Published versions and their state")
    assert versions.get_by_role("row").count() == len(model["versions"])
    last = card["training"]["epochs"][-1]
    expect(page.get_by_role("img", name="Loss, by epoch")).to_have_accessible_name(
        f"Loss, by epoch. After epoch {last['epoch']}: "
        f"training {last['loss']:.4f}, validation {last['validation_loss']:.4f}."
    )
    expect(page.get_by_role("img", name="Images wrong, %, by epoch")).to_be_visible()


def test_the_curves_match_the_scale_of_the_grid(desktop: Page, server: Server) -> None:
    champion = server.get("/models").json()["models"][0]["champion"]
    card = json.loads((ROOT / f"models/mnist/{champion}/card.json").read_text())
    desktop.get_by_role("tab", name="Model").click()
    grid, points = desktop.get_by_role("img", name="Loss, by epoch").evaluate(
        """chart => [
          [...chart.querySelectorAll(".level")].map(line => [
            Number(line.nextSibling.textContent), Number(line.getAttribute("y1")),
          ]),
          [...chart.querySelector(".validation").points].map(point => point.y),
        ]"""
    )
    (low, bottom), *_, (high, top) = grid
    wanted = [
        bottom + (top - bottom) * log(epoch["validation_loss"] / low) / log(high / low)
        for epoch in card["training"]["epochs"]
    ]
    assert points == pytest.approx(wanted, abs=0.1)


def test_each_view_has_its_own_address(desktop: Page) -> None:
    desktop.get_by_role("tab", name="Model").click()
    assert desktop.url.endswith("/#model")
    desktop.reload()
    expect(desktop.get_by_role("tab", name="Model")).to_have_attribute("aria-selected", "true")
    expect(desktop.get_by_role("tabpanel", name="Model")).to_be_visible()
    expect(desktop.get_by_role("tabpanel", name="Draw")).to_be_hidden()
