"""What is done on threads beside the event loop, and what is not begun any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from time import perf_counter, sleep
from weakref import ref

import pytest

from service.background.large_work import give_way, small, when_large
from service.errors import DeadlineExceeded


def test_the_large_is_done_beside_the_loop_and_the_small_on_it() -> None:
    async def both() -> tuple[int, int]:
        small = await when_large(False, threading.get_ident)
        return small, await when_large(True, threading.get_ident)

    small, large = asyncio.run(both())
    assert small == threading.get_ident()
    assert large != small


def test_what_waited_past_its_deadline_for_a_thread_is_not_begun() -> None:
    begun: list[str] = []
    free = threading.Event()

    async def crowd() -> list[BaseException | None]:
        held = [asyncio.create_task(when_large(True, free.wait)) for _ in range(20)]
        await asyncio.sleep(0)
        waiting = [
            asyncio.create_task(when_large(True, begun.append, "x", until=perf_counter() + seconds))
            for seconds in (0.01, 60)
        ]
        await asyncio.sleep(0.05)
        free.set()
        await asyncio.gather(*held)
        return await asyncio.gather(*waiting, return_exceptions=True)

    refused, done = asyncio.run(crowd())
    assert isinstance(refused, DeadlineExceeded)
    assert done is None
    assert begun == ["x"]


@pytest.fixture(autouse=True)
def nothing_else_to_do() -> Iterator[None]:
    yield
    small.last = perf_counter() - 60


def shortest_rest(work_s: float) -> float:
    """The seconds for which large work gives way after a piece, the shortest of several times."""

    def rest() -> float:
        end = perf_counter() + work_s
        while perf_counter() < end:
            pass
        begin = perf_counter()
        give_way()
        return perf_counter() - begin

    return asyncio.run(when_large(True, lambda: min(rest() for _ in range(10))))


def test_large_work_gives_way_for_longer_than_it_has_worked_while_small_requests_come() -> None:
    small.last = perf_counter() + 60
    assert shortest_rest(0.001) > 0.001
    assert shortest_rest(0.004) > 0.004


def test_large_work_that_was_held_up_itself_does_not_rest_as_long() -> None:
    small.last = perf_counter() + 60
    assert shortest_rest(0.1) < 0.1


def test_large_work_does_not_wait_where_nothing_else_is_to_be_done() -> None:
    small.last = perf_counter() - 1
    assert shortest_rest(0.004) < 0.001


def test_the_event_loop_itself_never_gives_way() -> None:
    small.last = perf_counter() + 60
    begin = perf_counter()
    for _ in range(1000):
        give_way()
    assert perf_counter() - begin < 0.1


def steps_until_stopped(until_s: float, leave_s: float) -> tuple[BaseException | None, int]:
    """What comes of endless work, and how many of its pieces are done after that."""
    done: list[float] = []

    def endless() -> None:
        while True:
            sleep(0.001)
            done.append(perf_counter())
            give_way()

    async def scene() -> tuple[BaseException | None, int]:
        work = asyncio.create_task(when_large(True, endless, until=perf_counter() + until_s))
        await asyncio.wait({work}, timeout=leave_s)
        work.cancel()
        (came,) = await asyncio.gather(work, return_exceptions=True)
        await asyncio.sleep(0.05)
        before = len(done)
        await asyncio.sleep(0.05)
        return came, len(done) - before

    return asyncio.run(scene())


def test_work_ends_in_the_middle_when_its_deadline_passes() -> None:
    came, more = steps_until_stopped(until_s=0.05, leave_s=10)
    assert isinstance(came, DeadlineExceeded)
    assert more == 0


def test_work_ends_in_the_middle_when_no_one_waits_for_it_any_more() -> None:
    came, more = steps_until_stopped(until_s=2, leave_s=0.05)
    assert isinstance(came, asyncio.CancelledError)
    assert more == 0


def test_work_that_is_forsaken_before_it_begins_lets_its_body_go() -> None:
    class Body:
        pass

    free = threading.Event()

    async def scene() -> bool:
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
        return gone

    assert asyncio.run(scene())
