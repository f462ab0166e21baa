"""The champion in use on the page: drift, accuracy, and the story of a challenger."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from service.api.evaluate import mnist_test
from service.types import Images
from tests.browser.conftest import DESKTOP, ROOT
from tests.server import EVERYTHING, Server, serving, wait_until
from training.cli.models import main

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OCTETS = "application/octet-stream"


def later_images(count: int) -> Images:
    """The later half of the test set looks more like what the service meets."""
    return mnist_test(ROOT / "training/mnist")[0][5000 : 5000 + count]


def send(server: Server, images: Images) -> None:
    for first in range(0, len(images), 100):
        server.post("/predict", images[first : first + 100].tobytes(), OCTETS)


def test_drift_is_told_with_its_evidence_over_time(page: Page, server: Server) -> None:
    send(server, later_images(1000))
    page.get_by_role("tab", name="Model").click()
    expect(page.get_by_role("heading", name="In use")).to_be_visible()
    send(server, (0.2 * later_images(1000)).astype(np.uint8))
    expect(page.locator(".use")).to_contain_text("Drift: the last 1,000 answers are unlike")
    found = server.get("/drift").json()
    expect(page.locator(".alarms li")).to_have_count(len(found["alarms"]))
    expect(page.locator(".alarms")).to_contain_text(found["alarms"][0]["examples"][0])
    expect(page.locator(".use")).to_contain_text(
        f"Accuracy in use: about {min(99.99, 100 * found['accuracy']['estimate']):.2f} %"
    )
    plot = page.get_by_role("img", name="Scores over time")
    last = ", ".join(
        f"{kind} {score:.1f}"
        for kind, score in zip(
            ("labels", "appearance", "no digits"), found["scores"][-1][1:], strict=True
        )
    )
    expect(plot).to_have_accessible_name(
        re.compile(f"Now: {last}. An alarm from {found['threshold']:.1f} on.")
    )
    assert plot.locator("polyline").count() == 3
    shares = ", ".join(f"{d}: {100 * share:.1f} %" for d, share in enumerate(found["shares"]))
    expect(page.get_by_role("img", name=shares)).to_be_visible()


def test_the_story_of_a_challenger_is_told_until_it_ends(chromium: Browser, tmp_path: Path) -> None:
    root = tmp_path / "models"
    shutil.copytree(ROOT / "models", root)
    flags = (*EVERYTHING, "--store", f"sqlite:///{tmp_path}/store.db")
    with serving(root, tmp_path / "log", *flags) as server:
        complaints: list[str] = []
        page = chromium.new_context(**DESKTOP).new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"http://{server.host}:{server.port}/#model")
        expect(
            page.get_by_role("heading", name=re.compile("Version [0-9]+ serves"))
        ).to_be_visible()
        assert main(["challenge", "1", "--models", str(root)]) == 0
        expect(page.get_by_role("heading", name="Version 1 challenges it")).to_be_visible()
        expect(page.locator(".use")).to_contain_text("in the shadow")
        hard = mnist_test(ROOT / "training/mnist")[0][:1000]
        disagreements: list[dict[str, Any]] = []

        def disagreed() -> bool:
            """The shadow answers later, and not everything."""
            send(server, hard)
            items = server.get("/review?count=100").json()["items"]
            disagreements[:] = [x for x in items if x["reason"].startswith("versions disagree")]
            return bool(disagreements)

        wait_until(disagreed, 60)
        expect(page.locator(".use")).to_contain_text("Undecided")
        for one in disagreements:
            body = b'{"digit": %d}' % one["digit"]
            server.post(f"/review/{one['id']}", body, "application/json")
        row = page.get_by_role("row", name="The champion alone was right")
        expect(row).to_contain_text(str(len(disagreements)))
        assert main(["challenge", "--end", "--models", str(root)]) == 0
        expect(page.get_by_role("heading", name="Version 1 challenges it")).to_have_count(0)
        assert len(complaints) <= 1, complaints  # it ended between two questions
        page.context.close()
