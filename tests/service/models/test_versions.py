"""Which version answers, from the start over every change of the champion file to the end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from service.answer.quality import LEAST_CONFIDENCE, least_confidence
from service.background.large_work import recent
from service.errors import DeadlineExceeded, Invalid, NotFound, Unavailable
from service.inference.runtime import Runtime
from service.models.loader import Loaded
from service.models.proof import prove
from service.models.repository import Repository
from service.models.versions import StartError, Versions
from service.observe.logs import LOGGER
from service.observe.metrics import Metrics
from service.settings import Settings
from tests.service.figures import figure
from tests.tiny import (
    endless_model_bytes,
    slow_model_bytes,
    tiny_model_bytes,
    tiny_repository,
    tiny_version,
)

pytestmark = pytest.mark.anyio

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
LATER = float("inf")
INFO = {"architecture": "tiny", "provider": "cpu"}


class Worker:
    """The versions of one worker on a repository, and their metrics."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.metrics = Metrics()
        chosen = Settings(models=root, provider="cpu", batch_rows=4, **settings)
        self.versions = Versions(chosen, self.metrics)

    def prove(self, *versions: int) -> None:
        """Notes a proof of the versions, so that their first load takes no second more."""
        for version in versions:
            prove(Repository(self.root), version, batch_rows=4)

    def name_champion(self, text: str) -> None:
        """Writes the champion file as it is published: renamed into place."""
        fresh = self.root / "mnist" / ".champion"
        fresh.write_text(text)
        fresh.replace(self.root / "mnist" / "champion")

    def publish(self, version: int, model: bytes) -> None:
        """Writes a version in the place of another."""
        shutil.rmtree(self.root / f"mnist/{version}", ignore_errors=True)
        tiny_version(self.root, version, model)

    def fault(self) -> float:
        return figure(self.metrics, "champion_fault")

    def loads(self, result: str) -> float:
        return figure(self.metrics, "model_loads_total", result=result)

    async def states(self) -> dict[str, str]:
        listing = await self.versions.listing()
        return {entry["version"]: entry["state"] for entry in listing["versions"]}


@pytest.fixture(autouse=True)
def _look_often(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the test of the two seconds waits as long as the service does."""
    if "two_seconds" not in request.node.name:
        monkeypatch.setattr("service.models.champion_watcher.FOLLOW_SECONDS", 0.05)


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tiny_repository(tmp_path / "models", versions=(1, 2, 3), champion=1))


@asynccontextmanager
async def started(worker: Worker) -> AsyncIterator[Versions]:
    await worker.versions.start()
    yield worker.versions
    await worker.versions.stop()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> float:
    """Waits for a condition; returns the seconds that it took."""
    start = perf_counter()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)
    return perf_counter() - start


@pytest.fixture
async def versions(worker: Worker) -> AsyncIterator[Versions]:
    async with started(worker) as running:
        yield running


async def check(served: Loaded) -> None:
    """The version answers, with the bits of its own model."""
    ran = await served.batcher.infer(IMAGES, LATER)
    expected = Runtime.load(tiny_model_bytes(int(served.version)), provider="cpu").run(IMAGES)
    assert ran.probabilities.tobytes() == expected.tobytes()


async def test_the_champion_is_loaded_at_the_start_and_answers(worker: Worker) -> None:
    assert worker.versions.why_not_ready() == "no champion is loaded"
    with pytest.raises(Unavailable):
        await worker.versions.version(None)
    async with started(worker) as versions:
        assert versions.why_not_ready() is None
        served = await versions.version(None)
        assert served.version == "1"
        await check(served)
        assert await worker.states() == {"1": "serving", "2": "available", "3": "available"}
        versions.draining = True
        assert versions.why_not_ready() == "draining"
        assert (await versions.version(None)).version == "1"
    assert worker.loads("loaded") == 1
    assert figure(worker.metrics, "model_info", version="1", **INFO) == 1


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda w: shutil.rmtree(w.root), "champion is missing"),
        (lambda w: (w.root / "mnist/champion").unlink(), "champion is missing"),
        (lambda w: w.name_champion("one\n"), "champion is damaged"),
        (lambda w: w.name_champion("9\n"), "version 9: it is not in"),
        (lambda w: (w.root / "mnist/1/model.onnx").unlink(), "version 1: model.onnx is missing"),
        (lambda w: (w.root / "mnist/1/card.json").unlink(), "version 1: card.json is missing"),
        (lambda w: (w.root / "mnist/1/card.json").write_text("{"), "card.json is damaged"),
        (lambda w: (w.root / "mnist/1/model.onnx").write_bytes(b"x"), "model.onnx has SHA-256"),
        (lambda w: w.publish(1, b"no model"), "version 1: "),
        (lambda w: w.publish(1, tiny_model_bytes()[:-100]), "version 1: "),
    ],
)
async def test_a_start_that_cannot_be_says_why_in_one_line(
    worker: Worker, damage: Callable[[Worker], object], reason: str
) -> None:
    damage(worker)
    with pytest.raises(StartError) as caught:
        await worker.versions.start()
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_new_champion_answers_within_two_seconds_and_no_request_is_lost(
    worker: Worker,
) -> None:
    worker.prove(2)
    answered: list[str] = []

    async def ask(versions: Versions) -> None:
        while True:
            served = await versions.version(None)
            await check(served)
            answered.append(served.version)
            await asyncio.sleep(0.01)

    async with started(worker) as versions:
        asking = asyncio.create_task(ask(versions))
        await until(lambda: len(answered) > 3)
        worker.name_champion("2\n")
        assert await until(lambda: "2" in answered) < 2
        await until(lambda: answered[-3:] == ["2"] * 3)
        assert not asking.done()
        asking.cancel()
        assert await worker.states() == {"1": "loaded", "2": "serving", "3": "available"}
        assert answered == sorted(answered)
        assert figure(worker.metrics, "model_info", version="2", **INFO) == 1
        assert figure(worker.metrics, "model_info", version="1", **INFO) == 0
        worker.name_champion("1\n")
        await until(lambda: versions.champion.version == "1")
    assert worker.loads("loaded") == 2, "going back loads nothing"


@pytest.mark.parametrize("model", [b"no model", tiny_model_bytes(2, opset=18)[:-9]])
async def test_a_broken_new_champion_changes_nothing_but_is_told(
    worker: Worker, model: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.publish(2, model)
    monkeypatch.setattr(LOGGER, "handlers", [caplog.handler])
    monkeypatch.setattr(LOGGER, "propagate", False)
    async with started(worker) as versions:
        worker.name_champion("2\n")
        await until(lambda: worker.fault() == 1)
        listing, entry = await versions.listing(), await versions.state("2")
        assert entry["state"] == "failed"
        assert listing["champion_fault"] == entry["reason"]
        assert listing["champion_fault"].startswith("version 2: ")
        assert listing["champion"] == "1"
        assert versions.why_not_ready() is None
        assert (await versions.version(None)).version == "1"
        # It is left alone for a while: no second attempt at the next looks at the file.
        await asyncio.sleep(0.3)
        assert worker.loads("failed") == 1
        worker.name_champion("3\n")
        await until(lambda: versions.champion.version == "3")
        assert (await versions.listing())["champion_fault"] is None
        assert worker.fault() == 0
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert record.getMessage().startswith("version 1 keeps serving: version 2: ")


@pytest.mark.parametrize("restored", ["1", "2"])
@pytest.mark.parametrize("content", [None, "", "x\n", "0\n", "1 2\n", "9\n"])
async def test_a_damaged_champion_file_changes_nothing_but_is_told_until_it_is_restored(
    worker: Worker, versions: Versions, content: str | None, restored: str
) -> None:
    if content is None:
        (worker.root / "mnist/champion").unlink()
    else:
        worker.name_champion(content)
    await until(lambda: worker.fault() == 1)
    told = (await versions.listing())["champion_fault"]
    assert ("is missing" in told) == (content is None)
    assert (await versions.version(None)).version == "1"
    worker.name_champion(f"{restored}\n")
    await until(lambda: worker.fault() == 0)
    assert (await versions.listing())["champion_fault"] is None
    assert versions.champion.version == restored


async def test_a_loop_that_was_held_up_does_not_blame_the_disk(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(worker) as versions:
        monkeypatch.setattr("service.models.champion_watcher.STALL_SECONDS", 1.0)
        look = asyncio.create_task(versions.take_up_champion())
        for _ in range(3):
            await asyncio.sleep(0)
        time.sleep(1.2)  # noqa: ASYNC251 - the loop itself is held up
        await look
    assert worker.fault() == 0


async def test_the_service_goes_on_though_its_repository_vanishes(
    worker: Worker, versions: Versions
) -> None:
    shutil.rmtree(worker.root / "mnist")
    await until(lambda: worker.fault() == 1)
    assert await worker.states() == {"1": "serving"}
    (worker.root / "mnist").write_text("a file in the folder's place")
    assert await worker.states() == {"1": "serving"}
    await check(await versions.version(None))


async def test_another_version_is_loaded_once_when_many_first_ask_for_it(
    worker: Worker, versions: Versions
) -> None:
    loads = await asyncio.gather(*(versions.version("3") for _ in range(20)))
    (served,) = {id(one): one for one in loads}.values()
    assert served.version == "3"
    await check(served)
    assert worker.loads("loaded") == 2
    assert await worker.states() == {"1": "serving", "2": "available", "3": "loaded"}
    assert versions.champion.version == "1"


async def test_more_than_the_bound_are_not_kept_and_the_champion_always_is(tmp_path: Path) -> None:
    worker = Worker(tiny_repository(tmp_path / "models", versions=range(1, 6)), max_loaded=3)
    async with started(worker) as versions:
        for version in ("3", "2", "4", "2", "5"):
            await versions.version(version)
        states = ["serving", "loaded", "available", "available", "loaded"]
        assert list((await worker.states()).values()) == states
        await versions.version("4")
        await versions.version("2")
        assert (await worker.states())["5"] == "available"
        assert (await worker.states())["4"] == "loaded"


async def test_a_caller_who_goes_through_all_versions_evicts_its_own(tmp_path: Path) -> None:
    root = tiny_repository(tmp_path / "models", versions=range(1, 8), champion=1)
    worker = Worker(root, max_loaded=3)
    async with started(worker) as versions:
        first = await versions.version("2", None, "honest")
        for _ in range(3):
            for other in "34567":
                await versions.version(other, None, "stranger")
        assert await versions.version("2", None, "honest") is first
        assert (await worker.states())["1"] == "serving"


async def test_a_caller_loads_one_version_at_a_time_and_keeps_no_other_waiting(
    tmp_path: Path,
) -> None:
    root = tiny_repository(tmp_path / "models", versions=range(1, 8), champion=1)
    worker, order = Worker(root, max_loaded=8), list[str]()

    async def load(version: str, caller: str) -> None:
        await worker.versions.version(version, None, caller)
        order.append(caller)

    async with started(worker):
        many = [asyncio.create_task(load(version, "stranger")) for version in "23456"]
        await asyncio.sleep(0)
        await load("7", "honest")
        await asyncio.gather(*many)
    assert order.index("honest") <= 3  # of five; each proof is a process, fast or slow


@pytest.mark.parametrize("others_ask", [True, False])
async def test_the_next_load_of_a_caller_waits_while_others_ask(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, others_ask: bool
) -> None:
    worker.prove(1, 2, 3)
    now = perf_counter()
    monkeypatch.setattr(recent, "caller", "honest" if others_ask else "stranger")
    monkeypatch.setattr(recent, "at", now + 60)
    monkeypatch.setattr(recent, "other_at", now - 60)
    # A load takes less than 4 ms where nothing else runs; 100 of them are less than the longest.
    monkeypatch.setattr("service.models.versions._PAUSES", 1000)
    async with started(worker) as versions:
        await versions.version("2", LATER, "stranger")
        loaded = perf_counter()
        await versions.version("3", LATER, "stranger")
        waited = perf_counter() - loaded
        await versions.version("2", now - 1, "stranger")  # one that is loaded waits for nothing
    assert (waited >= 0.4) == others_ask


async def test_with_room_for_one_a_new_champion_still_takes_over(tmp_path: Path) -> None:
    worker = Worker(tiny_repository(tmp_path / "models", versions=(1, 2)), max_loaded=1)
    async with started(worker) as versions:
        assert (await versions.version("2")).version == "2"
        assert await worker.states() == {"1": "serving", "2": "available"}
        worker.name_champion("2\n")
        await until(lambda: versions.champion.version == "2")
        assert await versions.version("2") is versions.champion
        assert await worker.states() == {"1": "available", "2": "serving"}


@pytest.mark.parametrize(
    "text", ["4", "0", "01", "-1", "1.0", " 1", "", "latest", "../1", "1" * 30, "\u0661", "1\n"]
)
async def test_a_version_that_is_not_there_is_not_found_however_spelt(
    versions: Versions, text: str
) -> None:
    for find in (
        versions.version,
        partial(versions.read, versions.repository.card),
        versions.unload,
    ):
        with pytest.raises(NotFound):
            await find(text)


async def test_a_version_that_cannot_be_loaded_is_unavailable_and_says_why(worker: Worker) -> None:
    (worker.root / "mnist/2/model.onnx").write_bytes(tiny_model_bytes(7))
    async with started(worker) as versions:
        for _ in range(5):  # only the first caller makes the service read it
            with pytest.raises(Unavailable, match=r"version 2: model\.onnx has SHA-256") as caught:
                await versions.version("2")
            assert caught.value.headers[0][0] == b"retry-after"
        assert worker.loads("failed") == 1
        assert (await worker.states())["2"] == "failed"
        # Once it is put right it loads.
        (worker.root / "mnist/2/model.onnx").write_bytes(tiny_model_bytes(2))
        await versions.version("2")
        assert (await worker.states())["2"] == "loaded"


async def test_callers_who_leave_while_a_broken_version_loads_leave_nothing_behind(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.publish(2, slow_model_bytes(30)[:-200_000])
    async with started(worker) as versions:
        asking = asyncio.create_task(versions.version("2"))
        await until(lambda: bool(versions._loader._loads))
        asking.cancel()
        await until(lambda: worker.loads("failed") == 1)
    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_the_card_of_any_version_is_shown(worker: Worker, versions: Versions) -> None:
    written = json.loads((worker.root / "mnist/3/card.json").read_text())
    card = versions.repository.card
    assert await versions.read(card, "3") == written
    (worker.root / "mnist/3/card.json").write_text("[]")
    with pytest.raises(Unavailable, match=r"version 3: card\.json is damaged"):
        await versions.read(card, "3")


async def test_the_champion_is_taken_up_at_once_when_asked_to_even_many_times(
    worker: Worker, versions: Versions
) -> None:
    for version in "2313212312":
        worker.name_champion(f"{version}\n")
        await asyncio.gather(*(versions.take_up_champion() for _ in range(4)))
        assert versions.champion.version == version
    worker.name_champion("9\n")
    with pytest.raises(Unavailable, match="version 2 keeps serving: version 9: "):
        await versions.take_up_champion()
    assert versions.champion.version == "2"


async def test_a_version_is_let_go_when_asked_to_but_never_the_champion(
    worker: Worker, versions: Versions
) -> None:
    await versions.version("2")
    await versions.unload("2")
    assert (await worker.states())["2"] == "available"
    with pytest.raises(Invalid, match="is the champion"):
        await versions.unload("1")


async def test_a_version_that_is_put_right_is_taken_up_within_two_seconds(worker: Worker) -> None:
    worker.prove(2)
    model = worker.root / "mnist/2/model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[:1000])
    async with started(worker) as versions:
        worker.name_champion("2\n")
        await until(lambda: worker.fault() == 1)
        await asyncio.sleep(1)
        assert worker.loads("failed") == 1
        model.write_bytes(whole)
        assert await until(lambda: versions.champion.version == "2") < 2
        assert worker.fault() == 0
        assert (await worker.states())["2"] == "serving"


async def test_a_version_that_never_ends_loading_is_told_and_keeps_no_other_from_serving(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.models.champion_watcher.LOAD_SECONDS", 0.2)
    monkeypatch.setattr("service.models.proof.PROOF_SECONDS", 2)
    worker.prove(3)
    worker.publish(2, endless_model_bytes())
    async with started(worker) as versions:
        worker.name_champion("2\n")
        await until(lambda: worker.fault() == 1)
        told = "version 2: it could not be loaded within 0.2 s"
        listing = await versions.listing()
        assert listing["champion_fault"] == told
        assert listing["versions"][1] == {"version": "2", "state": "failed", "reason": told}
        await check(await versions.version(None))
        worker.name_champion("3\n")
        assert await until(lambda: versions.champion.version == "3") < 2
        await until(lambda: worker.loads("failed") == 1, 30)
        entry = await versions.state("2")
        assert entry["reason"] == "version 2: its proof took longer than 2 s"
        assert versions.champion.version == "3"


async def test_versions_asked_for_that_do_not_load_keep_no_other_from_answering(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.prove(2, 3)
    monkeypatch.setattr("service.models.proof.PROOF_SECONDS", 2)
    for version in range(4, 8):
        worker.publish(version, endless_model_bytes())
    async with started(worker) as versions:
        await versions.version("3")
        asking = [asyncio.create_task(versions.version(str(v))) for v in range(4, 8)]
        await asyncio.sleep(0.1)
        with pytest.raises(DeadlineExceeded, match="before version 5 was loaded"):
            await versions.version("5", perf_counter() + 0.05)
        start = perf_counter()
        for loaded in (None, "3"):
            await (await versions.version(loaded)).batcher.infer(IMAGES, LATER)
        await versions.read(versions.repository.card, "6")
        assert perf_counter() - start < 0.5
        worker.name_champion("2\n")
        assert await until(lambda: versions.champion.version == "2") < 2
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(each) for each in ended] == [Unavailable] * 4


async def test_a_card_that_says_nonsense_changes_no_answer(worker: Worker) -> None:
    path = worker.root / "mnist/2/card.json"
    nonsense = {"architecture": ["\u00e9\n" * 5000], "doubt": {"score": 7}, "test": "none"}
    path.write_text(json.dumps(json.loads(path.read_text()) | nonsense))
    async with started(worker) as versions:
        worker.name_champion("2\n")
        await until(lambda: versions.champion.version == "2")
        await check(versions.champion)
        assert least_confidence(versions.champion.card) == LEAST_CONFIDENCE
        await versions.listing()
    assert b'version="2"' in worker.metrics.exposition()[0]


async def test_a_version_that_is_let_go_is_freed_once_its_requests_are_done(tmp_path: Path) -> None:
    worker = Worker(tiny_repository(tmp_path / "models", versions=(2,), champion=1), max_loaded=1)
    worker.publish(1, slow_model_bytes(60))
    async with started(worker) as versions:
        old = weakref.ref(versions.champion.runtime)
        many = np.repeat(IMAGES, 100, axis=0)
        running = asyncio.create_task(versions.champion.batcher.infer(many, LATER))
        await asyncio.sleep(0.01)
        worker.name_champion("2\n")
        await versions.take_up_champion()
        assert versions.champion.version == "2"
        assert not running.done()
        assert old() is not None
        assert len((await running).probabilities) == len(many)
        del running
        await until(lambda: old() is None)


def memory_bytes() -> int:
    """This process's own memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.campaign
@pytest.mark.parametrize("by", ["champion", "number"])
async def test_memory_is_flat_over_many_switches_and_walks(tmp_path: Path, by: str) -> None:
    """Each version takes 5 MB and more, so 100 that were kept would take 500."""
    root = tiny_repository(tmp_path / "models")
    worker = Worker(root, max_loaded=1 if by == "champion" else 2)
    for number in range(1, 5):
        worker.publish(number, slow_model_bytes(1, number))
    after: list[int] = []
    async with started(worker) as versions:
        for switch in range(150):
            version = str(switch % 4 + 1)
            if by == "champion":
                worker.name_champion(f"{version}\n")
                await versions.take_up_champion()
            served = await versions.version(None if by == "champion" else version)
            assert served.version == version
            await served.batcher.infer(IMAGES, LATER)
            after.append(memory_bytes())
    assert worker.loads("loaded") > 75
    assert max(after[50:]) - max(after[:50]) < 40e6
