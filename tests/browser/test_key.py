"""A service that wants keys: the page asks for one, keeps it for the tab, says what is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from service.cli.keys import main
from tests.browser.conftest import DESKTOP, PATIENCE_S, ROOT, Opener, Witness
from tests.browser.hand import DIGITS, answer, draw
from tests.server import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Keys = dict[str, str]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Keys]]:
    """A service with keys, and its keys by their names."""
    folder, keys = tmp_path_factory.mktemp("keyed"), Keys()
    path = str(folder / "keys")
    with pytest.MonkeyPatch.context() as patch:
        for name, scopes in (("reader", "predict"), ("tester", "predict,evaluate")):
            patch.setattr("service.cli.keys.print_text", lambda key, n=name: keys.update({n: key}))
            assert main(["--keys", path, "add", name, "--scope", scopes]) == 0
    flags = ("--keys", path, "--deadline-s", str(PATIENCE_S))
    with serving(ROOT / "models", folder / "log", *flags) as server:
        yield server, keys


@pytest.fixture
def server(keyed: tuple[Server, Keys]) -> Server:
    return keyed[0]


def give(page: Page, key: str) -> None:
    form = page.get_by_role("form", name="Key")
    form.get_by_label("Key").fill(key)
    form.get_by_role("button").click()


def test_the_page_asks_for_a_key_and_keeps_it_for_the_tab(
    open_page: Opener, witness: Witness, keyed: tuple[Server, Keys]
) -> None:
    _, keys = keyed
    page = open_page(DESKTOP)
    form, words = page.get_by_role("form", name="Key"), page.locator("#key-words")
    expect(form).to_be_hidden()
    draw(page, DIGITS[4])
    expect(words).to_have_text("The service wants a key for this.")
    give(page, "mnist_guessed")
    expect(words).to_have_text("Your key is not known here, was revoked, or has expired.")
    give(page, keys["reader"])
    assert answer(page).startswith("4, ")
    expect(form).to_be_hidden()

    page.get_by_role("tab", name="Test").click()
    expect(words).to_have_text("Your key lacks the scope evaluate.")
    give(page, keys["tester"])
    expect(page.get_by_role("table")).to_be_visible()
    picture = page.locator(".mistakes img").first
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("naturalWidth", 28)

    page.reload()
    page.get_by_role("tab", name="Model").click()
    page.get_by_role("button", name="Read the whole card").click()
    expect(page.get_by_role("dialog")).to_contain_text('"sha256"')
    other = page.context.new_page()
    other.goto(witness.origin)
    assert other.evaluate("sessionStorage.length + localStorage.length") == 0
    assert {"401", "403"} <= {part for line in witness.complaints for part in line.split()}
    witness.complaints.clear()  # the browser logs every answer above 399


def test_a_key_is_typed_and_pasted_without_drawing(
    open_page: Opener, witness: Witness, keyed: tuple[Server, Keys]
) -> None:
    page = open_page(DESKTOP)
    draw(page, DIGITS[1])
    field = page.get_by_role("form", name="Key").get_by_label("Key")
    field.click()
    page.keyboard.type("abc")
    page.keyboard.press("Delete")
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+x")
    page.keyboard.press("Control+v")
    field.evaluate("field => field.dispatchEvent(new ClipboardEvent('paste', {bubbles: true}))")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(keyed[1]["reader"])
    page.keyboard.press("Enter")
    assert answer(page).startswith("1, ")
    expect(page.get_by_role("tab", name="Draw")).to_be_focused()
    witness.complaints.clear()


def test_the_api_page_takes_keys_under_a_policy(open_page: Opener, witness: Witness) -> None:
    page = open_page(DESKTOP)
    answered = page.goto(witness.origin + "docs")
    assert answered is not None
    assert "frame-ancestors 'none'" in answered.headers["content-security-policy"]
    page.locator("#operations-digits-predict_predict_post").click()
    page.get_by_role("button", name="Authorize", exact=False).first.click()
    expect(page.get_by_text("X-API-Key").first).to_be_visible()
