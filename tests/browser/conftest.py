"""The page in a real Chromium, in front of the real service with the committed champion."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.server import EVERYTHING, Server, serving

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
    "--no-sandbox",  # Chromium needs this flag to run as root, as CI does
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Virtual machines stall for up to 16 seconds. Other tests measure what must be fast.
PATIENCE_S = 60
expect.set_options(timeout=1000 * PATIENCE_S)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page")
    flags = ("--deadline-s", str(PATIENCE_S), "--store", f"sqlite:///{folder}/store.db")
    with serving(ROOT / "models", folder / "serve.log", *flags, *EVERYTHING) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser. Each page gets a new profile.

    The scope is the module, since no other test can run an event loop beside Playwright's.
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
    """Records the errors, warnings and foreign requests of a page."""

    origin: str
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)
        # Playwright enables file choosers in Chromium asynchronously, and loses a chooser that
        # opens before that. This listener enables them once, when the page opens.
        page.on("filechooser", lambda chooser: None)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:", f"blob:{self.origin}")):
            self.strangers.append(request.url)


@dataclass
class Opener:
    """Opens the page in a new profile and watches it."""

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
    """Opens pages. Fails on a request elsewhere, an error, a warning or a violated policy."""
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
