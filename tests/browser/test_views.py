"""The views of the test run and of the serving model."""

from __future__ import annotations

import json
import re
import shutil
import time
from math import log
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP
from tests.browser.hand import DIGITS, answer, draw
from tests.server import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]


def test_the_test_view_shows_accuracy_confusion_and_worst_mistakes(
    page: Page, server: Server
) -> None:
    page.get_by_role("tab", name="Test").click()
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
    listed = (ROOT / "service/static/page/figures/label_errors.js").read_text()
    known = set(map(int, re.findall(r"\d+", listed.partition("[")[2].partition("]")[0])))
    assert len(known) == 15  # Northcutt et al. 2021
    for image, mistake in zip(mistakes.all(), scores["mistakes"], strict=True):
        image.scroll_into_view_if_needed()
        told = f"Test image {mistake['index']}: a {mistake['label']} read as {mistake['digit']}"
        if mistake["index"] in known:
            told += ", a label that is known to be wrong or ambiguous"
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
    assert versions.get_by_role("row").count() == 1 + len(model["versions"])
    robust = card["robustness"].values()
    row = versions.get_by_role("row", name=f"Version {model['champion']} serves")
    for told in (card["created"][:10], f"{100 * sum(robust) / len(robust):.2f} %"):
        expect(row).to_contain_text(told)
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


def test_a_cell_opens_its_images_and_an_image_opens_on_the_pad(
    desktop: Page, server: Server
) -> None:
    matrix = server.request("POST", "/evaluate?dataset=mnist-test").json()["confusion_matrix"]
    desktop.get_by_role("tab", name="Test").click()
    count = matrix[9][4]
    assert count > 1
    desktop.get_by_role("button", name=f"{count} read as 4, but a 9").click()
    expect(desktop.locator(".mistakes img")).to_have_count(count)
    desktop.get_by_role("button", name="a 9 read as 4").first.click()
    expect(desktop.get_by_role("tab", name="Draw")).to_have_attribute("aria-selected", "true")
    assert answer(desktop).startswith("4, ")
    expect(desktop.locator("#seen-words")).to_contain_text("Taken as it is")


def test_a_cell_on_the_diagonal_opens_what_was_read_right_least_sure_first(
    desktop: Page, server: Server
) -> None:
    scores = server.request("POST", "/evaluate?dataset=mnist-test&mistakes=1000").json()
    count = scores["confusion_matrix"][5][5]
    right = [one for one in scores["least_sure"] if one["label"] == 5][:100]
    desktop.get_by_role("tab", name="Test").click()
    desktop.get_by_role("button", name=f"{count} read right as 5").click()
    words = f"The {len(right)} of {count} that it was least sure of."
    expect(desktop.get_by_text(words)).to_be_visible()
    expect(desktop.locator(".mistakes img")).to_have_count(len(right))
    expect(desktop.locator(".mistakes img").first).to_have_attribute(
        "alt", re.compile(f"Test image {right[0]['index']}: a 5 read as 5")
    )


def test_the_description_of_the_api_leaves_the_drawing_alone(desktop: Page) -> None:
    draw(desktop, DIGITS[7])
    answer(desktop)
    with desktop.context.expect_page() as opened:
        desktop.get_by_role("link", name="API in a new tab").click()
    assert opened.value.url.endswith("/docs")
    opened.value.close()
    expect(desktop.locator("#digit")).to_have_text("7")


def test_two_versions_are_compared_on_the_drawing_and_on_the_test_set(
    desktop: Page, server: Server
) -> None:
    draw(desktop, DIGITS[4])
    answer(desktop)
    desktop.get_by_role("tab", name="Model").click()
    desktop.get_by_label("The other version").select_option("1")
    desktop.get_by_role("button", name="Compare").click()
    expect(desktop.get_by_text("Compared version 7 with version 1.")).to_be_visible()
    expect(desktop.get_by_role("heading", name="Version 1 on your drawing")).to_be_visible()
    wrong = [
        {
            one["index"]
            for one in server.request(
                "POST", f"/evaluate?dataset=mnist-test&mistakes=1000&version={version}"
            ).json()["mistakes"]
        }
        for version in (7, 1)
    ]
    told = {
        "Only version 7 misreads": wrong[0] - wrong[1],
        "Only version 1 misreads": wrong[1] - wrong[0],
        "Both misread": wrong[0] & wrong[1],
    }
    for words, images in told.items():
        expect(desktop.get_by_text(f"{words} {len(images)} images")).to_be_visible()
    desktop.get_by_role("button", name="Measure the latency").click()
    expect(desktop.get_by_text("asked in turn on this service now")).to_be_visible()
    latencies = desktop.locator("#model .wide tbody tr td:last-child").all_inner_texts()
    assert all(re.fullmatch(r"\d+\.\d\d ms", each) for each in latencies)


def test_a_card_is_read_over_the_page_and_leaves_the_drawing_unharmed(desktop: Page) -> None:
    draw(desktop, DIGITS[7])
    answer(desktop)
    desktop.get_by_role("tab", name="Model").click()
    for leave in (
        desktop.go_back,
        lambda: desktop.keyboard.press("Escape"),
        lambda: desktop.get_by_role("button", name="Back").click(),
    ):
        desktop.get_by_role("button", name="Version 2").click()
        dialog = desktop.get_by_role("dialog", name="Version 2")
        expect(dialog).to_contain_text("Architecture")
        assert desktop.url.endswith("#card-2")
        leave()
        expect(dialog).to_be_hidden()
        expect(desktop.get_by_role("tabpanel", name="Model")).to_be_visible()
        desktop.wait_for_url("**/#model")
    desktop.get_by_role("tab", name="Draw").click()
    expect(desktop.locator("#digit")).to_have_text("7")
    expect(desktop.get_by_role("button", name="Undo")).to_be_enabled()


def test_a_promotion_is_shown_while_the_page_is_open(chromium: Browser, tmp_path: Path) -> None:
    """Within 5 seconds on a machine that is not busy."""
    shutil.copytree(ROOT / "models", tmp_path / "models")
    with serving(tmp_path / "models", tmp_path / "log") as server:
        page = chromium.new_context(**DESKTOP).new_page()
        page.goto(f"http://{server.host}:{server.port}/#model")
        expect(
            page.get_by_role("heading", name=re.compile("Version [0-9]+ serves"))
        ).to_be_visible()
        (tmp_path / "new").write_text("3\n")
        (tmp_path / "new").rename(tmp_path / "models/mnist/champion")
        start = time.monotonic()
        expect(page.get_by_role("heading", name="Version 3 serves")).to_be_visible()
        print(f"a promotion was shown after {time.monotonic() - start:.1f} s")
        page.get_by_role("tab", name="Test").click()
        expect(page.locator("#evaluation-state")).to_contain_text("Version 3 read")
        page.context.close()
