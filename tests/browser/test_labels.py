"""What people say that an image shows: under an answer, and in the review view by keyboard."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, Request, Route, expect

from service.cli.keys import main
from tests.browser.conftest import DESKTOP, ROOT, Opener, Witness
from tests.browser.hand import DIGITS, answer, draw
from tests.server import EVERYTHING, Server, serving, wait_until
from tests.service.reasons.mnist import digits

pytestmark = [pytest.mark.browser, pytest.mark.slow]
IMAGES = digits(30)


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that keeps every answer."""
    folder = tmp_path_factory.mktemp("labels")
    flags = ("--capture", "1.0", "--store", f"sqlite:///{folder}/store.db", *EVERYTHING)
    with serving(ROOT / "models", folder / "log", *flags) as running:
        yield running


@pytest.fixture
def server(keeping: Server) -> Server:
    return keeping


def waiting(server: Server) -> int:
    return int(server.get("/review?count=1").json()["waiting"])


def ask(server: Server, images: np.ndarray) -> None:
    """Lets the service answer about images, and waits until they wait for a label."""
    wanted = waiting(server) + len(images)
    server.post("/predict", images.tobytes(), "application/octet-stream")
    wait_until(lambda: waiting(server) >= wanted, 10)


def labels(server: Server) -> dict[bytes, int]:
    """The label of each image that has one."""
    file = np.load(io.BytesIO(server.get("/feedback/export").body))
    pairs = zip(file["images"], file["labels"], strict=True)
    return {image.tobytes(): int(label) for image, label in pairs}


def test_what_it_was_is_kept_and_taken_back(page: Page, server: Server) -> None:
    question = page.get_by_role("group", name="This was a …")
    expect(question).to_be_hidden()
    draw(page, DIGITS[7])
    answer(page)
    before = labels(server)
    question.get_by_role("button", name="1", exact=True).click()
    expect(question).to_contain_text("Kept: this was a 1. Thank you.")
    assert sorted(labels(server).values()) == sorted([*before.values(), 1])
    question.get_by_role("button", name="no digit").click()
    expect(question).to_contain_text("Kept: this was no digit. Thank you.")
    assert sorted(labels(server).values()) == sorted([*before.values(), -1])
    question.get_by_role("button", name="Take it back").click()
    expect(question).to_contain_text("Taken back.")
    assert labels(server) == before
    page.evaluate("scrollTo(0, 0)")
    draw(page, [[(0.2, 0.8), (0.25, 0.85)]])
    expect(question).not_to_contain_text("Taken back.")
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()


def test_what_is_kept_are_the_pixels_that_the_model_read(desktop: Page, server: Server) -> None:
    draw(desktop, DIGITS[3])
    answer(desktop)
    seen = desktop.get_by_alt_text("The 28 by 28 pixels that the model read")
    pixels = seen.evaluate(
        """image => {
          const context = new OffscreenCanvas(28, 28).getContext("2d");
          context.drawImage(image, 0, 0);
          const {data} = context.getImageData(0, 0, 28, 28);
          return Array.from({length: 784}, (_, index) => data[4 * index]);
        }"""
    )
    question = desktop.get_by_role("group", name="This was a …")
    question.get_by_role("button", name="3").click()
    expect(question).to_contain_text("Thank you.")
    assert labels(server)[bytes(pixels)] == 3


def test_an_answer_that_cannot_be_kept_says_so(desktop: Page, witness: Witness) -> None:
    draw(desktop, DIGITS[3])
    answer(desktop)
    desktop.context.set_offline(True)
    question = desktop.get_by_role("group", name="This was a …")
    question.get_by_role("button", name="3").click()
    expect(question).to_contain_text("Not kept. The service cannot be reached.")
    witness.complaints.clear()


def test_of_a_drawing_only_the_end_is_kept_and_the_log_has_few_lines(
    desktop: Page, server: Server
) -> None:
    asked: list[Request] = []
    desktop.on("request", lambda request: asked.append(request))  # noqa: PLW0108 - playwright
    kept, lines, start = waiting(server), len(server.access()), time.monotonic()
    draw(desktop, [[(0.5, 0.1 + index / 500) for index in range(350)]])
    assert answer(desktop)
    of_drawing = ["x-drawing" in each.headers for each in asked if "/predict" in each.url]
    wait_until(lambda: waiting(server) == kept + of_drawing.count(False), 10)
    logged = [line for line in server.access()[lines:] if line["path"] == "/predict"]
    assert len(logged) <= time.monotonic() - start + 1 + of_drawing.count(False)
    assert 0 < of_drawing.count(False) < of_drawing.count(True)


def test_images_are_reviewed_by_keyboard_alone(desktop: Page, server: Server) -> None:
    ask(server, IMAGES[:12])
    press = desktop.keyboard.press
    press("Tab")
    press("ArrowRight")
    press("ArrowRight")
    expect(desktop.get_by_role("tab", name="Review")).to_be_focused()
    image, waits = desktop.get_by_alt_text("The image to label"), desktop.locator("#review-waiting")
    expect(image).to_be_visible()
    count = int(waits.inner_text().split()[0])
    before = labels(server)

    first = image.get_attribute("src")
    expect(desktop.locator("#review-answer")).to_have_text(
        re.compile(r"Read as an? \d, [0-9.]+ % sure\.")
    )
    expect(desktop.locator("#review-reason")).to_contain_text("Why it is asked:")
    press("4")
    expect(image).not_to_have_attribute("src", first or "")
    second = image.get_attribute("src")
    press("n")
    press("Space")
    expect(waits).to_have_text(f"{count - 2} images wait")
    press("z")
    press("z")
    expect(image).to_have_attribute("src", second or "")
    expect(waits).to_have_text(f"{count - 1} images wait")
    press("z")
    expect(image).to_have_attribute("src", first or "")
    press("7")
    wait_until(lambda: sorted(labels(server).values()) == sorted([*before.values(), 7]), 10)
    assert desktop.locator("#review-error").inner_text() == ""


def test_the_next_image_does_not_wait_for_the_service(desktop: Page, server: Server) -> None:
    ask(server, IMAGES[12:24])
    held: list[Route] = []
    is_open = False
    desktop.route("**/review/*", lambda route: route.continue_() if is_open else held.append(route))
    desktop.get_by_role("tab", name="Review").click()
    image = desktop.get_by_alt_text("The image to label")
    expect(image).to_be_visible()
    seen = set()
    for digit in "12345":
        seen.add(image.get_attribute("src"))
        desktop.keyboard.press(digit)
    assert len(seen) == 5
    wait_until(lambda: desktop.title() != "" and bool(held), 10)
    assert len(held) == 1  # one label is under way at a time
    before = len(labels(server))
    is_open = True
    held[0].continue_()
    # Asking for the title lets Playwright handle the routes.
    wait_until(lambda: desktop.title() != "" and len(labels(server)) == before + 5, 20)


def test_keys_are_for_the_view_and_clicks_do_not_take_them(desktop: Page, server: Server) -> None:
    ask(server, IMAGES[24:])
    desktop.get_by_role("tab", name="Review").click()
    waits, undo = desktop.locator("#review-waiting"), desktop.get_by_role("button", name="Back to")
    expect(waits).to_have_text(re.compile("wait"))
    count = waits.inner_text()
    desktop.get_by_role("link", name="API").focus()
    desktop.keyboard.press("5")
    expect(waits).to_have_text(count)
    expect(undo).to_be_disabled()
    desktop.get_by_role("button", name="6").click()
    expect(waits).not_to_have_text(count)
    after = waits.inner_text()
    desktop.keyboard.press("Space")  # skips, and does not press the button again
    expect(waits).to_have_text(after)
    undo.click()
    expect(waits).to_have_text(after)
    undo.click()
    expect(waits).to_have_text(count)
    expect(undo).to_be_disabled()


def test_texts_of_callers_stay_text(desktop: Page) -> None:
    item = {
        "id": "x" * 64,
        "png": "",
        "digit": 4,
        "confidence": 0.5,
        "when": None,
        "version": "<b>6</b>",
        "reason": "<img src=x onerror=alert(1)>",
    }
    answered = {"waiting": 1, "items": [item]}
    desktop.route("**/review?*", lambda route: route.fulfill(json=answered))
    desktop.get_by_role("tab", name="Review").click()
    reason = desktop.locator("#review-reason")
    expect(reason).to_contain_text("<img src=x onerror=alert(1)>. Version <b>6</b>")
    assert reason.locator("*").count() == 0


def test_a_review_asks_for_a_key_with_its_scope(
    open_page: Opener, witness: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = dict[int, str]()
    path = str(tmp_path / "keys")
    for name, scopes in (("reader", "predict"), ("reviewer", "predict,review")):
        monkeypatch.setattr(
            "service.cli.keys.print_text", lambda key, n=name: keys.update({n: key})
        )
        assert main(["--keys", path, "add", name, "--scope", scopes]) == 0
    flags = ("--keys", path, "--store", f"sqlite:///{tmp_path}/store.db")
    with serving(ROOT / "models", tmp_path / "log", *flags) as server:
        witness.origin = f"http://{server.host}:{server.port}/"
        page = open_page(DESKTOP)
        page.get_by_role("tab", name="Review").click()
        form = page.get_by_role("form", name="Key")
        for key, words in zip(keys.values(), ("lacks the scope review", ""), strict=True):
            form.get_by_label("Key").fill(key)
            form.get_by_role("button").click()
            expect(page.locator("#review-error")).to_contain_text(words)
        expect(page.locator("#review-end")).to_contain_text("No image waits for a label.")
        expect(page.locator("#review-error")).to_be_empty()
        witness.complaints.clear()  # the browser logs every answer above 399
        page.context.close()
