"""The page in a real Chromium, before the real service with the committed champion."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.server import Server, serving

ROOT = Path(__file__).resolve().parents[2]
DESKTOP: dict[str, Any] = {"viewport": {"width": 1200, "height": 800}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
SCREENS = {"desktop": DESKTOP, "phone": PHONE}
FLAGS = (
    "--no-sandbox",  # it refuses to run as root with one, and CI is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Virtual machines stand still for seconds, 16 have been seen; what is slow is measured by itself.
PATIENCE_S = 60
expect.set_options(timeout=1000 * PATIENCE_S)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("page") / "serve.log"
    with serving(ROOT / "models", log, "--deadline-s", str(PATIENCE_S)) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; each page gets a profile of its own.

    A module's and not the session's, since no other test can run an event loop beside Playwright's.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium is installed; on Debian: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Witness:
    """What a page did beside what was asked of it."""

    origin: str
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)
        # Playwright asks Chromium for file choosers beside what it does next: one that opens before
        # Chromium knows is lost. With this listener it is asked once, when the page is opened.
        page.on("filechooser", lambda chooser: None)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:", f"blob:{self.origin}")):
            self.strangers.append(request.url)


@dataclass
class Opener:
    """Opens the page in a fresh profile, and watches it."""

    browser: Browser
    witness: Witness

    def __call__(self, screen: dict[str, Any], script: str = "", **options: Any) -> Page:
        context = self.browser.new_context(**screen, **options)
        context.set_default_timeout(1000 * PATIENCE_S)
        page = context.new_page()
        self.witness.watch(page)
        if script:
            page.add_init_script(script)
        page.goto(self.witness.origin)
        return page


@pytest.fixture
def witness(server: Server) -> Witness:
    return Witness(f"http://{server.host}:{server.port}/")


@pytest.fixture
def open_page(chromium: Browser, witness: Witness) -> Iterator[Opener]:
    """Opens pages; nothing may be asked elsewhere, no error told, no policy violated."""
    yield Opener(chromium, witness)
    for context in chromium.contexts:
        context.close()
    assert witness.strangers == []
    assert witness.complaints == []


@pytest.fixture(params=SCREENS)
def page(request: pytest.FixtureRequest, open_page: Opener) -> Page:
    """The page at desktop and at phone width."""
    return open_page(SCREENS[request.param])


@pytest.fixture
def desktop(open_page: Opener) -> Page:
    return open_page(DESKTOP)
