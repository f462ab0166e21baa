"""The store by itself: its tables, its thread, and what it does when it is away."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text

from service.challenge.record import exchange, tally
from service.errors import Unavailable
from service.models.repository import Challenger
from service.observe.metrics import Metrics
from service.settings import Settings
from service.store import store as module
from service.store.store import Store, store_of
from service.store.tables import ANSWERS, IMAGES, drop_unused, keep_images
from tests.server import wait_until

MARKED = b"a digit of mine! " * 46 + b".."


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store(store_url)
    yield opened
    opened.close()


def images_in(url: str) -> int:
    with closing(Store(url)) as store, store.begin() as connection:
        return connection.scalar(select(func.count()).select_from(IMAGES)) or 0


def test_an_image_is_kept_once_and_dropped_once_nothing_is_about_it(store: Store) -> None:
    with store.begin() as connection:
        names = keep_images(connection, [bytes(784), b"\1" * 784, bytes(784)])
        assert names[0] == names[2] != names[1]
    assert images_in(store.url) == 2
    with store.begin() as connection:
        drop_unused(connection, names)
    assert images_in(store.url) == 0


def test_many_open_a_new_store_and_write_at_once(store_url: str) -> None:
    def write(number: int) -> None:
        with closing(Store(store_url)) as own:
            for kept in (*[range(20)] * 5, [100 + number]):
                images = [bytes([each]) * 784 for each in kept]
                asyncio.run(own.run(partial(keep_images, images=images)))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    assert images_in(store_url) == 26


def test_work_is_done_in_turn_and_what_waits_at_a_stop_is_done(store: Store) -> None:
    def keep(number: int) -> Callable[[Connection], object]:
        return lambda connection: keep_images(connection, [bytes([number]) * 784])

    for number in range(20):
        store.later(keep(number))
    store.close()
    assert images_in(store.url) == 20


def test_work_that_finds_no_room_is_dropped_and_counted(tmp_path: Path) -> None:
    metrics, go_on = Metrics(), threading.Event()
    store = Store(f"sqlite:///{tmp_path / 'a.sqlite'}", metrics)
    for _ in range(module._MOST_WAITING + 50):
        store.later(lambda connection: go_on.wait(10))
    exposed = metrics.exposition()[0].decode()
    go_on.set()
    assert "mnist_store_dropped_total 49" in exposed or "mnist_store_dropped_total 50" in exposed
    store.close()


def test_a_bug_in_one_piece_of_work_does_not_end_the_thread(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(f"sqlite:///{tmp_path / 'a.sqlite'}")
    store.later(lambda connection: 1 / 0)
    store.later(lambda connection: keep_images(connection, [bytes(784)]))
    store.close()
    assert "ZeroDivisionError" in caplog.text
    assert images_in(store.url) == 1


def test_capture_without_a_store_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = tmp_path / "none"
    assert store_of(Settings(models=nowhere), Metrics()) is None
    assert not caplog.messages
    assert store_of(Settings(models=nowhere, capture="doubtful"), Metrics()) is None
    assert store_of(Settings(store="none", capture="doubtful"), Metrics()) is None
    begin = "MNIST_CAPTURE is doubtful but there is no store: "
    assert caplog.messages[0].startswith(f"{begin}{nowhere} cannot be written")
    assert caplog.messages[1] == f"{begin}MNIST_STORE is none"


def test_an_older_store_is_upgraded_and_keeps_its_rows(store: Store) -> None:
    """As it was in the first form; the new one is used at once."""
    said = {"request_id": "a", "caller": "b", "version": "1", "doubts": "", "position": 0}
    said |= {"digit": 7, "answered_at": 1.0, "confidence": 0.75}
    with store.begin() as connection:
        (image,) = keep_images(connection, [bytes(784)])
        connection.execute(ANSWERS.insert().values(image=image, second=0.25, **said))
        for statement in ("DROP TABLE challenges", "UPDATE schema SET version = 1"):
            connection.execute(text(statement))
    with closing(Store(store.url)) as upgraded, upgraded.begin() as connection:
        assert connection.execute(select(ANSWERS)).one().second == 0.25
        assert exchange(connection, "1", Challenger("2", 0.0, "now"), [], "slow") == ""
        assert tally(connection, "1", Challenger("2", 0.0, "now")).failure == "slow"


def test_a_newer_store_is_refused(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(text("UPDATE schema SET version = 9"))
    with pytest.raises(Unavailable, match="form 9"):
        images_in(store.url)


def test_what_is_deleted_is_in_no_file(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'a.sqlite'}")
    names = asyncio.run(store.run(lambda c: keep_images(c, [MARKED])))

    def kept() -> bool:
        return any(MARKED in each.read_bytes() for each in tmp_path.iterdir())

    assert kept()
    asyncio.run(store.run(lambda c: drop_unused(c, names)))
    assert not kept()
    assert {oct(each.stat().st_mode & 0o777) for each in tmp_path.iterdir()} == {"0o600"}
    store.close()


def lock(file: Path) -> Any:
    locking = sqlite3.connect(file, isolation_level=None)
    locking.execute("BEGIN EXCLUSIVE")
    return locking


def damage(file: Path) -> None:
    for each in file.parent.glob("a.sqlite-*"):
        each.unlink()
    file.write_bytes(os.urandom(20_000))


@pytest.mark.parametrize("harm", [lock, damage], ids=["locked", "damaged"])
def test_a_store_that_is_away_says_so_once_and_comes_back(
    tmp_path: Path,
    harm: Callable[[Path], Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hasty = tuple(each.replace(str(module._LOCKED_MS), "100") for each in module._PRAGMAS)
    monkeypatch.setattr(module, "_PRAGMAS", hasty)
    caplog.set_level("INFO")
    file, metrics = tmp_path / "a.sqlite", Metrics()
    metrics.serving("1", "tiny", "cpu", fallback=False)
    images_in(f"sqlite:///{file}")
    good, store = file.read_bytes(), Store(f"sqlite:///{file}", metrics)
    harmed, began = harm(file), monotonic()
    for _ in range(3):
        with pytest.raises(Unavailable, match="store"):
            asyncio.run(store.run(lambda c: keep_images(c, [bytes(784)])))
    assert monotonic() - began < 10
    assert b"mnist_store_fault 1" in metrics.exposition()[0]
    assert [each.message for each in caplog.records] == ["the store is away; answers go on"]
    if harmed is None:
        file.write_bytes(good)
    else:
        harmed.close()

    def back() -> bool:
        try:
            asyncio.run(store.run(lambda c: keep_images(c, [bytes(784)])))
        except Unavailable:
            return False
        return True

    wait_until(back)
    assert b"mnist_store_fault 0" in metrics.exposition()[0]
    assert caplog.records[-1].message == "the store is back"
    store.close()


def test_a_full_disk_is_a_store_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PRAGMAS", (*module._PRAGMAS, "max_page_count=40"))
    store = Store(f"sqlite:///{tmp_path / 'a.sqlite'}")
    many = [number.to_bytes(2, "big") * 392 for number in range(1000)]
    with pytest.raises(Unavailable, match="away"):
        asyncio.run(store.run(lambda c: keep_images(c, many)))
    assert images_in(store.url) == 0
    store.close()


def test_a_folder_that_is_not_there_is_a_store_that_is_away(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'none' / 'a.sqlite'}")
    with pytest.raises(Unavailable, match="away"):
        asyncio.run(store.run(lambda connection: None))
    store.close()
