"""Takes the README's picture of the page: ``python -m tests.browser.portrait``."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import FLAGS, ROOT
from tests.browser.hand import DIGITS, answer, draw, slanted
from tests.server import serving

PICTURE = ROOT / "tests" / "pictures" / "page.png"


def main() -> None:
    """Draws a digit on the page of the committed champion and saves a screenshot."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(ROOT / "models", Path(folder) / "serve.log") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1120, "height": 720})
        page.goto(f"http://{server.host}:{server.port}/")
        draw(page, DIGITS[3], slanted)
        answer(page)
        # The time of the answer differs each time, and would change the file.
        page.locator("#time").evaluate("time => { time.textContent = ''; }")
        image = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    image.convert("RGB").quantize(64).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
