"""Takes the page's pictures for README and docs/page.md: ``python -m tests.browser.portrait``."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

from service.api.evaluate import mnist_test
from tests.browser.conftest import FLAGS, ROOT
from tests.browser.hand import DIGITS, answer, draw, slanted
from tests.server import EVERYTHING, serving


def portrait(page: Page) -> None:
    draw(page, DIGITS[3], slanted)
    answer(page)


def reasons(page: Page) -> None:
    draw(page, DIGITS[4], slanted)
    page.get_by_role("button", name="Why?").click()
    page.get_by_label("What would make it").select_option("9")
    page.get_by_text("it is read as a 9").wait_for()
    page.wait_for_timeout(2000)  # the film


def layers(page: Page) -> None:
    draw(page, DIGITS[4], slanted)
    answer(page)
    page.get_by_role("button", name="Layers").click()
    page.locator("#network-layers > li").last.wait_for()
    page.get_by_role("heading", name="What the network sees").evaluate("it => it.scrollIntoView()")


def number(page: Page) -> None:
    draw(page, DIGITS[4], lambda x, y: (0.6 * x - 0.05, 0.2 + 0.6 * y))
    draw(page, DIGITS[2], lambda x, y: (0.6 * x + 0.4, 0.2 + 0.6 * y))
    answer(page)


def test_images(page: Page) -> None:
    page.get_by_role("tab", name="Test").click()
    page.get_by_role("button", name="read as 4, but a 9").click()
    page.wait_for_timeout(1000)  # the images


def review(page: Page) -> None:
    """Shows one of the test images that are hard to read."""
    page.evaluate(
        """async () => {
          for (const index of [582, 1014, 1242, 2654, 9, 3422]) {
            const image = await fetch(`datasets/mnist-test/images/${index}.png`);
            const headers = {"Content-Type": "image/png"};
            await fetch("predict", {method: "POST", headers, body: await image.blob()});
          }
        }"""
    )
    page.wait_for_timeout(1000)  # the answers are kept
    page.get_by_role("tab", name="Review").click()
    page.locator("#reviewed").wait_for()
    page.wait_for_timeout(300)
    # The time differs each time, and would change the file.
    page.locator("#review-reason").evaluate(
        "it => { it.textContent = it.textContent.replace(/, [A-Z].*[AP]M/, ''); }"
    )


def in_use(page: Page) -> None:
    """Shows what faint ink does to the answers: the test images, the later ones at 30 %."""
    images, _ = mnist_test(ROOT / "training/mnist")
    images = np.random.default_rng(0).permutation(images)
    images[2500:] = 0.3 * images[2500:]
    for first in range(0, 3500, 100):
        sent = images[first : first + 100].tobytes()
        headers = {"Content-Type": "application/octet-stream"}
        page.request.post(f"{page.url}predict", data=sent, headers=headers)
        page.wait_for_timeout(600)  # the plot has a point a second
    page.get_by_role("tab", name="Model").click()
    page.get_by_role("heading", name="In use").evaluate("it => it.scrollIntoView()")
    page.wait_for_timeout(500)


def comparison(page: Page) -> None:
    draw(page, DIGITS[4], slanted)
    answer(page)
    page.get_by_role("tab", name="Model").click()
    page.get_by_role("button", name="Measure the latency").click()
    page.get_by_text("asked in turn").wait_for()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Compared version").wait_for()
    page.locator(".compared summary").first.click()
    page.get_by_role("heading", name="All versions").evaluate("it => it.scrollIntoView()")


# Each with the height of the window and the colour scheme.
PICTURES: dict[str, tuple[Callable[[Page], None], int, Literal["light", "dark"]]] = {
    "docs/page-review.png": (review, 620, "light"),  # before others draw what is kept, too
    "tests/pictures/page.png": (portrait, 720, "light"),
    "docs/page-why.png": (reasons, 1180, "light"),
    "docs/page-layers.png": (layers, 720, "light"),
    "docs/page-number.png": (number, 720, "dark"),
    "docs/page-test.png": (test_images, 960, "dark"),
    "docs/page-drift.png": (in_use, 720, "dark"),
    "docs/page-model.png": (comparison, 1180, "light"),
}


def main() -> None:
    """Shows each view of the page of the committed champion and saves a screenshot."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(
            *(ROOT / "models", Path(folder) / "serve.log", "--capture", "1", *EVERYTHING),
            *("--store", f"sqlite:///{folder}/store.db"),
        ) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, (show, height, scheme) in PICTURES.items():
            size = ViewportSize(width=1120, height=height)
            page = browser.new_page(viewport=size, color_scheme=scheme)
            page.goto(f"http://{server.host}:{server.port}/")
            show(page)
            # The time of the answer differs each time, and would change the file.
            page.locator("#time").evaluate("time => { time.textContent = ''; }")
            image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            image.quantize(128, kmeans=1).save(ROOT / name, optimize=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
