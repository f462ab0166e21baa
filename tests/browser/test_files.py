"""Picture files on the page: dropped, pasted or chosen; a rejected file shows the reason."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import PHONE, Opener, Witness
from tests.browser.hand import DIGITS, answer, draw
from tests.digits import as_picture
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SEVEN = (Path(__file__).resolve().parents[1] / "pictures" / "seven.png").read_bytes()
FILE: FilePayload = {"name": "x.png", "mimeType": "image/png", "buffer": SEVEN}


def bomb() -> bytes:
    """Returns a PNG of a few bytes whose header claims 60,000 x 60,000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


HOSTILE = {
    "noise": (bytes(range(256)) * 4, "image/png"),
    "pdf": (b"%PDF-1.7\n%%EOF", "application/pdf"),
    "script": (b"<svg><script>alert(1)</script></svg>", "image/svg+xml"),
    "bomb": (bomb(), "image/png"),
    "cut": (SEVEN[:100], "image/png"),
    "empty": (b"", "image/png"),
    "huge": (SEVEN + bytes(20 << 20), "image/png"),
}  # fmt: skip


def give(page: Page, how: str, content: bytes, kind: str = "image/png", copies: int = 1) -> None:
    """Drops or pastes files with the events and data that a user's action causes."""
    told = content.rstrip(b"\0")
    page.evaluate(
        """([how, content, zeros, kind, copies]) => {
          const bytes = [Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))];
          bytes.push(new Uint8Array(zeros));
          const data = new DataTransfer();
          const name = "<img src=x onerror=alert(1)>.png";
          for (let copy = 0; copy < copies; copy += 1) {
            data.items.add(new File(bytes, name, {type: kind}));
          }
          const options = {bubbles: true, dataTransfer: data, clipboardData: data};
          const kinds = {drop: DragEvent, paste: ClipboardEvent};
          document.getElementById("pad").dispatchEvent(new kinds[how](how, options));
        }""",
        [how, base64.b64encode(told).decode(), len(content) - len(told), kind, copies],
    )


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_dropped_or_pasted_picture_is_read(page: Page, how: str) -> None:
    draw(page, DIGITS[0])
    give(page, how, SEVEN)
    assert answer(page).startswith("7, ")
    expect(page.get_by_alt_text("The picture to be read")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    assert answer(page).startswith("0, ")
    expect(page.get_by_alt_text("The picture to be read")).to_be_hidden()


def test_a_picture_is_chosen_from_the_device_in_the_one_place_for_files(page: Page) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(FILE)
    assert answer(page).startswith("7, ")
    expect(page.locator("input[type=file]")).to_have_count(1)


def test_a_phone_offers_its_camera(open_page: Opener) -> None:
    page = open_page(PHONE)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Take a photo").click()
    assert chooser.value.element.get_attribute("capture") == "environment"
    chooser.value.set_files(FILE)
    assert answer(page).startswith("7, ")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a picture").click()
    assert chooser.value.element.get_attribute("capture") is None


def test_drawing_replaces_a_picture(desktop: Page) -> None:
    give(desktop, "drop", SEVEN)
    assert answer(desktop).startswith("7, ")
    draw(desktop, DIGITS[0])
    assert answer(desktop).startswith("0, ")


def test_a_doubt_is_shown_as_a_sentence(desktop: Page) -> None:
    give(desktop, "drop", as_picture(np.full((100, 100), 255, np.uint8)))
    assert answer(desktop) == "There is no ink to be seen."
    assert desktop.locator("#doubts li").all_inner_texts() == ["There is no ink to be seen."]
    expect(desktop.locator("#sure")).to_have_text("Nothing found")
    expect(desktop.locator(".most")).to_have_count(0)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_shows_what_is_wrong_and_what_to_do(
    desktop: Page, witness: Witness, server: Server, name: str
) -> None:
    content, kind = HOSTILE[name]
    give(desktop, "drop", content, kind)
    error = desktop.get_by_role("alert").first
    expect(error).not_to_be_empty()
    if name == "huge":
        told = "The picture is too large: 16 MB is the most. Choose a smaller one."
    else:
        asked = kind if kind.startswith("image/") else "image/unknown"
        detail = server.post("/predict", content, asked).json()["detail"]
        told = f"{detail[0].upper()}{detail[1:]}"
    expect(error).to_contain_text(told)
    expect(error).to_contain_text("Choose a")
    expect(desktop.locator("#sure")).to_have_text("Not read")
    # The browser logs every answer above 399.
    assert witness.complaints
    assert all("Failed to load resource" in complaint for complaint in witness.complaints)
    witness.complaints.clear()

    desktop.keyboard.press("Escape")
    draw(desktop, DIGITS[7])
    assert answer(desktop).startswith("7, ")
    expect(error).to_be_empty()


def test_of_several_files_the_page_reads_one_and_says_so(desktop: Page) -> None:
    give(desktop, "drop", SEVEN, copies=3)
    assert answer(desktop).startswith("7, ")
    error = desktop.get_by_role("alert").first
    expect(error).to_have_text("Of 3 files only one is read: <img src=x onerror=alert(1)>.png")
    draw(desktop, DIGITS[0])
    expect(error).to_be_empty()


def test_a_picture_that_the_browser_cannot_show_is_still_read(desktop: Page) -> None:
    seven = np.asarray(Image.open(io.BytesIO(SEVEN)).convert("L"))
    give(desktop, "drop", as_picture(seven, "TIFF"), "image/tiff")
    assert answer(desktop).startswith("7, ")
    expect(desktop.get_by_text("This file cannot be shown.")).to_be_visible()
    desktop.keyboard.press("Escape")
    expect(desktop.get_by_text("This file cannot be shown.")).to_be_hidden()


def test_dropped_text_is_refused_and_changes_nothing(desktop: Page) -> None:
    draw(desktop, DIGITS[7])
    answer(desktop)
    desktop.evaluate(
        """() => {
          const data = new DataTransfer();
          data.setData("text/plain", "seven");
          document.body.dispatchEvent(new DragEvent("drop", {bubbles: true, dataTransfer: data}));
        }"""
    )
    expect(desktop.get_by_role("alert").first).to_have_text("What was dropped is no file.")
    expect(desktop.locator(".most")).to_have_attribute("data-digit", "7")
