"""What threads do beside the event loop, and what they do not begin or continue."""

from __future__ import annotations

import asyncio
import threading
from time import perf_counter, sleep
from weakref import ref

import pytest

from service.background import large_work
from service.background.large_work import give_way, recent, rest_after_reading, when_large
from service.errors import DeadlineExceeded

pytestmark = [pytest.mark.anyio, pytest.mark.alone]


@pytest.fixture(autouse=True)
def no_small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "small_at", perf_counter() - 60)


async def test_the_large_is_done_beside_the_loop_and_the_small_on_it() -> None:
    assert await when_large(False, threading.get_ident) == threading.get_ident()
    assert await when_large(True, threading.get_ident) != threading.get_ident()


async def test_what_waited_past_its_deadline_for_a_thread_is_not_begun() -> None:
    begun: list[str] = []
    free = threading.Event()
    held = [asyncio.create_task(when_large(True, free.wait)) for _ in range(20)]
    await asyncio.sleep(0)
    late, early = (
        asyncio.create_task(when_large(True, begun.append, name, until=perf_counter() + seconds))
        for name, seconds in (("late", 0.01), ("early", 60))
    )
    await asyncio.sleep(0.05)
    free.set()
    await asyncio.gather(*held, early)
    with pytest.raises(DeadlineExceeded):
        await late
    assert begun == ["early"]


@pytest.mark.parametrize(
    ("small_s", "work_s", "least_s", "most_s"),
    [
        (60, 0.001, 0.001, 1),
        (60, 0.004, 0.004, 1),
        (60, 0.1, 0, 0.1),  # it was held up itself
        (-1, 0.004, 0, 0.001),  # there is nothing to give way to
    ],
)
async def test_large_work_sleeps_longer_than_it_worked_while_small_requests_come(
    small_s: float, work_s: float, least_s: float, most_s: float
) -> None:
    def rest() -> float:
        end = perf_counter() + work_s
        while perf_counter() < end:
            pass
        begin = perf_counter()
        give_way()
        return perf_counter() - begin

    recent.small_at = perf_counter() + small_s
    shortest = await when_large(True, lambda: min(rest() for _ in range(10)))
    assert least_s < shortest < most_s


@pytest.mark.parametrize(
    ("comes", "other_asks", "rests"),
    [(False, False, False), (True, False, True), (False, True, True)],
)
async def test_work_rests_for_other_requests_and_not_for_its_own(
    monkeypatch: pytest.MonkeyPatch, comes: bool, other_asks: bool, rests: bool
) -> None:
    def rest() -> float:
        if comes:
            recent.small_at = perf_counter()
        end = perf_counter() + 0.004
        while perf_counter() < end:
            pass
        begin = perf_counter()
        give_way()
        return perf_counter() - begin

    monkeypatch.setattr(large_work, "_CLOSE_SECONDS", 60)
    recent.small_at = perf_counter()  # its own request
    monkeypatch.setattr(recent, "at", recent.small_at)
    monkeypatch.setattr(recent, "caller", "other" if other_asks else "own")
    monkeypatch.setattr(recent, "other_at", perf_counter() - 60)
    assert (await when_large(True, rest, caller="own") > 0.004) == rests


@pytest.mark.parametrize(("small_s", "least_s", "most_s"), [(60, 0.019, 1), (-1, 0, 0.015)])
async def test_large_bodies_are_read_at_a_bounded_pace_while_small_requests_come(
    small_s: float, least_s: float, most_s: float
) -> None:
    recent.small_at = begin = perf_counter() + small_s
    begin -= small_s
    await asyncio.gather(*(rest_after_reading(256_000) for _ in range(20)))
    assert least_s < perf_counter() - begin < most_s


def test_the_event_loop_itself_never_gives_way() -> None:
    recent.small_at = perf_counter() + 60
    begin = perf_counter()
    for _ in range(1000):
        give_way()
    assert perf_counter() - begin < 0.1


@pytest.mark.parametrize(
    ("until_s", "leave_s", "error"),
    [(0.5, 30, DeadlineExceeded), (30, 0.5, asyncio.CancelledError)],
)
async def test_work_ends_in_the_middle_once_it_is_late_or_its_caller_has_left(
    until_s: float, leave_s: float, error: type[BaseException]
) -> None:
    done: list[float] = []

    def endless() -> None:
        while True:
            sleep(0.001)
            done.append(perf_counter())
            give_way()

    work = asyncio.create_task(when_large(True, endless, until=perf_counter() + until_s))
    await asyncio.wait({work}, timeout=leave_s)
    work.cancel()
    with pytest.raises(error):
        await work
    await asyncio.sleep(0.05)
    before = len(done)
    await asyncio.sleep(0.05)
    assert len(done) == before > 0


async def test_work_that_is_abandoned_before_it_begins_lets_its_body_go() -> None:
    class Body:
        pass

    free = threading.Event()
    held = [asyncio.create_task(when_large(True, free.wait)) for _ in range(20)]
    body = Body()
    still_there = ref(body)
    work = asyncio.create_task(when_large(True, id, body))
    await asyncio.sleep(0.01)
    work.cancel()
    await asyncio.wait({work})
    del body, work
    gone = still_there() is None
    free.set()
    await asyncio.gather(*held)
    assert gone
