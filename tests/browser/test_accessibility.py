"""axe-core finds no barrier on any view, on a desktop and a phone, in light and in dark."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import SCREENS, Opener
from tests.browser.test_access import show_everything

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def barriers(page: Page) -> list[str]:
    """The rules of WCAG 2.2 (A and AA) and of good practice that axe finds broken, and where."""
    found: dict[str, Any] = Axe().run(page).response
    assert len(found["passes"]) > 20  # it did look
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize(
    ("screen", "colours"),
    [
        ("desktop", "light"),
        ("phone", "dark"),
        pytest.param("desktop", "dark", marks=pytest.mark.campaign),
        pytest.param("phone", "light", marks=pytest.mark.campaign),
    ],
)
def test_axe_finds_no_barrier(
    open_page: Opener, screen: str, colours: Literal["light", "dark"]
) -> None:
    page = open_page(SCREENS[screen], color_scheme=colours, reduced_motion="reduce")
    assert barriers(page) == []
    show_everything(page)
    for tab in ("Draw", "Test", "Review", "Model"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel", name=tab)).to_be_visible()
        assert barriers(page) == [], tab
