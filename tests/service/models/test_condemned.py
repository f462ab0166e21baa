"""A version that passed its proof and fails its callers later goes out of service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from service.types import Images
from tests.server import DOORS, Door, Server, serving, wait_until
from tests.tiny import TRIGGER, tiny_repository, tiny_version, treacherous_model_bytes

RAW = "application/octet-stream"
GOOD = np.random.default_rng(0).integers(0, 256, (2, 28, 28), np.uint8)
DEADLINE_S = 3


def bad(count: int) -> Images:
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 0, :2] = TRIGGER
    return images


Does = Literal["nan", "loop"]


@contextmanager
def serving_a_traitor(tmp_path: Path, door: Door, does: Does) -> Iterator[Server]:
    """Version 2 serves, which is treacherous, and version 1 served before it."""
    root = tiny_repository(tmp_path / "models")
    for version in (2, 3):
        tiny_version(root, version, treacherous_model_bytes(does, "trigger", version))
    flags = ("--deadline-s", str(DEADLINE_S), "--evaluate-deadline-s", "60")
    with serving(root, tmp_path / "log", *flags, door=door) as running:
        (root / "mnist/champion").write_text("2\n")
        wait_until(lambda: champion(running) == "2", 60)
        yield running


def champion(server: Server) -> str:
    answer = server.get("/models")
    return str(answer.json()["models"][0]["champion"]) if answer.status == 200 else "none"


def ask(server: Server, images: Images, query: str = "") -> int:
    return server.post(f"/predict{query}", images.tobytes(), RAW).status


def state(server: Server, version: int) -> dict[str, str]:
    (entry,) = server.get("/models").json()["models"]
    found: dict[str, str] = entry["versions"][version - 1]
    return found


@pytest.mark.parametrize(
    ("door", "does", "rows"),
    [("serve", "nan", 300), ("serve", "loop", 1), ("asgi", "nan", 1), ("asgi", "loop", 300)],
)
def test_the_champion_before_it_takes_over_and_the_caller_gets_no_wrong_answer(
    tmp_path: Path, door: Door, does: Does, rows: int
) -> None:
    """One image runs on the event loop's own thread, 300 run beside it."""
    with serving_a_traitor(tmp_path, door, does) as server:
        assert ask(server, GOOD) == 200
        assert ask(server, bad(rows)) == (503 if does == "nan" else 504)
        wait_until(lambda: champion(server) == "1", 30)
        assert ask(server, bad(rows)) == 200
        found = state(server, 2)
        assert found["state"] == "failed"
        assert ("probabilities" if does == "nan" else "did not end in time") in found["reason"]
        assert server.metric("mnist_model_condemned_total") == 1
        assert server.metric("mnist_champion_fault") == 1
        assert server.get("/health/ready").status == 200
        assert "version 2 is out of service" in server.stderr()


@pytest.mark.parametrize("door", DOORS)
def test_without_a_champion_before_it_nothing_serves_until_another_is_named(
    tmp_path: Path, door: Door
) -> None:
    root = tmp_path / "models"
    with serving_a_traitor(tmp_path, door, "nan") as server:
        assert ask(server, bad(1), "?version=3") == 503
        wait_until(lambda: state(server, 3)["state"] == "failed", 30)
        assert ask(server, GOOD, "?version=3") == 503
        assert champion(server) == "2"
        for version in (4, 5):  # so that version 1 is no longer loaded
            tiny_version(root, version, treacherous_model_bytes("nan", "trigger"))
            assert ask(server, GOOD, f"?version={version}") == 200
        assert state(server, 1)["state"] == "available"
        assert ask(server, bad(1)) == 503
        wait_until(lambda: server.get("/health/ready").status == 503, 30)
        assert ask(server, GOOD) == 503
        assert "version 2: a run of 1 images" in server.get("/health/ready").json()["detail"]
        (root / "mnist/champion").write_text("1\n")
        wait_until(lambda: ask(server, GOOD) == 200, 30)
