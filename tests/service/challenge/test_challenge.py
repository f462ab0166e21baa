"""A version challenges the champion of a service with two workers, and wins, loses or fails."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, time
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from service.inference.runtime import Runtime
from service.models.repository import Repository
from service.store.store import Store
from service.store.tables import DISAGREEMENTS, LABELS, insert
from service.types import Images
from tests.server import Server, serving, wait_until
from tests.tiny import (
    TRIGGER,
    brittle_model_bytes,
    slow_model_bytes,
    tiny_repository,
    tiny_version,
    treacherous_model_bytes,
)
from training.cli.models import main

RAW = "application/octet-stream"
IMAGES = np.random.default_rng(1).integers(0, 255, (200, 28, 28), np.uint8)
FOLLOWS_S = 2.0
"""Within this time a service takes up what a command does, and puts out what fails."""


def patience() -> float:
    """By how much the others who use this machine slow down the service."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny_repository(tmp_path / "models", versions=(1, 2))


@contextmanager
def challenged(root: Path, command: str) -> Iterator[Server]:
    """A service whose champion 1 is challenged by this command while it runs."""
    with serving(root, root / "log", "--workers", "2", "--log-format", "json") as server:
        assert server.get("/models/mnist/challenger").status == 404
        assert models(root, command) == 0
        wait_until(lambda: taken_up(server) == 2, 60)
        yield server


def models(root: Path, command: str) -> int:
    return main([*command.split(), "--models", str(root)])


def follow(condition: Any, seconds: float = FOLLOWS_S) -> None:
    wait_until(condition, (seconds + 0.5) * patience())  # half a second for the answer that tells


def taken_up(server: Server) -> int:
    samples = server.metrics()
    return round(sum(v for (name, _), v in samples.items() if name == "mnist_challenger_info"))


def ask(server: Server, images: Images, source: str | None = None) -> str:
    """The version that answers; its bits are those of that version alone."""
    headers = {"Content-Type": RAW}
    answer = server.request("POST", "/predict", images.tobytes(), headers, source=source)
    assert answer.status == 200, answer.body
    return str(answer.json()["version"])


def compared(server: Server) -> float:
    results = ("agreed", "disagreed")
    return sum(server.metric("mnist_challenger_images_total", result=each) for each in results)


def told(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.get("/models/mnist/challenger").json()
    return found


def logged(server: Server) -> set[tuple[str, str]]:
    return {(each["client"], each["version"]) for each in server.access() if "version" in each}


def answers(root: Path, version: int, images: Images = IMAGES) -> Sequence[int]:
    model = Repository(root).read_model(version)
    found: list[int] = Runtime.load(model, provider="cpu").run(images).argmax(axis=1).tolist()
    return found


def label(root: Path, images: Images, digits: Sequence[int]) -> int:
    """Labels those of the images on which the versions disagree; returns how many there were."""
    truth = {image.tobytes(): digit for image, digit in zip(images, digits, strict=True)}
    store = Store(f"sqlite:///{root / 'learning.sqlite'}")
    with store.begin() as connection:
        from service.store.tables import IMAGES as KEPT

        query = select(KEPT).join(DISAGREEMENTS, DISAGREEMENTS.c.image == KEPT.c.id).distinct()
        rows = [
            {"id": f"l{i}", "image": row.id, "digit": truth[row.pixels], "caller": "a"}
            | {"source": "review", "labelled_at": time()}
            for i, row in enumerate(connection.execute(query).all())
        ]
        connection.execute(insert(connection, LABELS).on_conflict_do_nothing(), rows)
    store.close()
    return len(rows)


def test_in_the_shadow_it_changes_no_answer_and_is_promoted_once_labels_say_so(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = answers(root, 1), answers(root, 2)
    with serving(root, root / "quiet") as server:
        before = server.post("/predict", IMAGES[:8].tobytes(), RAW).body
    with challenged(root, "challenge 2") as server:
        assert server.post("/predict", IMAGES[:8].tobytes(), RAW).body == before
        for first_row in range(8, len(IMAGES), 16):  # not faster than the shadow, which sheds then
            assert ask(server, IMAGES[first_row : first_row + 16]) == "1"
            follow(lambda done=first_row + 16: compared(server) == done)
        follow(lambda: told(server)["images"] == len(IMAGES))
        assert models(root, "promote 2") == 1  # the gate does not know of the challenge
        same = sum(a == b for a, b in zip(first, second, strict=True))
        assert told(server)["agreement"] == same / len(IMAGES)
        assert told(server)["verdict"] == "undecided"
        assert server.metric("mnist_challenger_images_total", result="agreed") == same
        assert models(root, "verdict --promote") == 1
        assert "the verdict is undecided" in capsys.readouterr().err
        count = label(root, IMAGES, second)
        assert count == len(IMAGES) - same > 20
        report = told(server)
        assert (report["labelled"], report["wins"], report["losses"]) == (count, count, 0)
        assert (report["verdict"], report["version"], report["mode"]) == ("promote", "2", "shadow")
        capsys.readouterr()
        assert models(root, "verdict --json") == 0
        assert json.loads(capsys.readouterr().out) == {"champion": "1", **report}
        assert models(root, "verdict --promote --force") == 0
        follow(lambda: ask(server, IMAGES[:1]) == "2")
        follow(lambda: server.get("/models/mnist/challenger").status == 404)
        entries = [(each["command"], each.get("verdict")) for each in Repository(root).journal()]
        assert entries == [
            ("models challenge", None),
            ("models verdict", "promote"),
            ("models verdict", None),
        ]
        (root / "mnist/challenger").write_text("garbage\n")
        follow(lambda: "it holds 'garbage'" in told(server).get("detail", ""))


def test_a_canary_answers_the_same_share_of_callers_in_every_worker(root: Path) -> None:
    callers = [f"127.0.0.{number}" for number in range(2, 82)]
    with challenged(root, "challenge 2 --canary 0.3") as server:
        found = {caller: {ask(server, IMAGES[:2], caller) for _ in range(4)} for caller in callers}
        assert {len(versions) for versions in found.values()} == {1}
        share = sum(versions == {"2"} for versions in found.values()) / len(callers)
        assert abs(share - 0.3) < 4 * (0.3 * 0.7 / len(callers)) ** 0.5
        named = {(caller, *versions) for caller, versions in found.items()}
        follow(lambda: logged(server) == named)
        mine = server.metric("mnist_canary_answers_total", by="challenger")
        assert mine == 4 * sum(versions == {"2"} for versions in found.values())
        (caller,) = [caller for caller in callers if found[caller] == {"2"}][:1]
        by_number = server.request(
            "POST", "/predict?version=1", IMAGES[:1].tobytes(), {"Content-Type": RAW}, source=caller
        )
        assert by_number.json()["version"] == "1"
        assert models(root, "challenge --end") == 0
        follow(lambda: {ask(server, IMAGES[:1], caller) for _ in range(8)} == {"1"})


def traitors(root: Path) -> list[tuple[str, str, Images]]:
    """Versions that pass their proof: each with how it fails, and the images on which it does."""
    many = np.repeat(IMAGES[:2], 20, axis=0)
    ends, raises = many.copy(), many.copy()
    ends[:, 0, :2], raises[:, 0, 0] = TRIGGER, 255
    tiny_version(root, 3, treacherous_model_bytes("nan", "trigger", 3))
    tiny_version(root, 4, brittle_model_bytes(4))
    tiny_version(root, 5, treacherous_model_bytes("loop", "trigger", 5))
    tiny_version(root, 6, slow_model_bytes(60))
    return [
        ("3", "gave no 2 x 10 probabilities", ends),
        ("4", "out of data bounds", raises),
        ("5", "did not end in time", ends),
        ("6", "more than 3 x the champion's time", many),
    ]


@pytest.mark.parametrize("share", [pytest.param("0", marks=pytest.mark.campaign), "0.999"])
def test_one_that_fails_is_out_within_two_seconds_and_callers_get_the_champion(
    root: Path, share: str
) -> None:
    """By hand, since the command finds some of these faults."""
    with serving(root, root / "log", "--workers", "2", "--max-loaded", "8") as server:
        for version, how, images in traitors(root):
            (root / "mnist/challenger").write_text(f"{version} {share} now\n")
            wait_until(lambda: taken_up(server) == 2, 60)
            by = "1" if share == "0" else version
            assert ask(server, IMAGES[:1]) in ("1", by)  # the champion, if the machine is busy
            begun, slowest = monotonic(), 0.0
            while taken_up(server):
                assert monotonic() < begun + FOLLOWS_S * patience()
                since = monotonic()
                ask(server, images[:2])
                slowest = max(slowest, monotonic() - since)
            assert slowest < patience()
            assert {ask(server, images[:2]) for _ in range(8)} == {"1"}
            report = told(server)
            assert report["verdict"] == "reject", report
            assert report["reason"].startswith("it is out: ")
            assert how in report["reason"]
            wait_until(lambda: server.metric("mnist_challenger_fault") == 2)
            assert server.get("/health/ready").status == 200
