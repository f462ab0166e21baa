"""Threads on which callers take turns."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from time import perf_counter, thread_time

import pytest

from service.background.large_work import TURN_SECONDS, FairThreads, give_way

pytestmark = pytest.mark.anyio


def one_thread() -> FairThreads:
    return FairThreads("one", 1)


def long_until(event: threading.Event, seconds: float = 60) -> bool:
    """Work that gives way all the time, until an event; whether it came in time."""
    end = perf_counter() + seconds
    while not event.is_set() and perf_counter() < end:
        give_way()
    return event.is_set()


async def test_the_long_work_of_one_caller_makes_way_for_another() -> None:
    pool, done = one_thread(), threading.Event()
    long = [asyncio.create_task(pool.run("a", lambda: long_until(done))) for _ in range(5)]
    await asyncio.sleep(2 * TURN_SECONDS)
    await pool.run("b", done.set)
    assert all(await asyncio.gather(*long))


async def test_it_does_not_make_way_for_the_same_callers_next_work() -> None:
    pool, done = one_thread(), threading.Event()
    long = asyncio.create_task(pool.run("a", lambda: long_until(done, 10 * TURN_SECONDS)))
    await asyncio.sleep(0)
    await pool.run("a", done.set)
    assert not await long


async def test_callers_get_equal_time_however_many_jobs_each_has() -> None:
    pool, spent = one_thread(), dict.fromkeys("ab", 0.0)
    end = perf_counter() + 100 * TURN_SECONDS

    def work(caller: str) -> None:
        begin = thread_time()
        while perf_counter() < end:
            give_way()
        spent[caller] += thread_time() - begin

    await asyncio.gather(*(pool.run(name, partial(work, name)) for name in "aaaaaaab"))
    assert 0.25 < spent["a"] / spent["b"] < 4  # by jobs it would be 7


async def test_it_is_known_how_many_jobs_run() -> None:
    pool, end = FairThreads("many", 3), threading.Event()
    jobs = [asyncio.create_task(pool.run("a", end.wait)) for _ in range(4)]
    await asyncio.sleep(0)
    assert FairThreads.running >= 3
    end.set()
    await asyncio.gather(*jobs)
    await pool.run("a", lambda: None)
    assert FairThreads.running < 3


async def test_more_callers_than_there_are_threads_all_come_to_their_end() -> None:
    pool, ended = one_thread(), threading.Event()
    jobs = (pool.run(f"caller {n}", lambda: long_until(ended, 0.02)) for n in range(99))
    assert not any(await asyncio.gather(*jobs))
    assert await pool.run("after", lambda: True)


async def test_a_failure_and_a_caller_who_left_leave_the_thread_to_others() -> None:
    pool, never = one_thread(), threading.Event()
    with pytest.raises(ZeroDivisionError):
        await pool.run("a", lambda: 1 / 0)
    left = asyncio.create_task(pool.run("a", lambda: long_until(never)))
    waiting = asyncio.create_task(pool.run("a", lambda: long_until(never)))
    await asyncio.sleep(0.01)
    left.cancel()
    waiting.cancel()
    assert await pool.run("a", lambda: True)


async def test_work_that_waits_for_its_turn_does_not_keep_the_process_from_its_end() -> None:
    pool, done = one_thread(), threading.Event()
    jobs = [asyncio.create_task(pool.run(name, lambda: long_until(done, 0.1))) for name in "aabb"]
    # On a busy machine some may begin before the shutdown.
    jobs += [asyncio.create_task(pool.run("a", lambda: done.wait(1))) for _ in range(2000)]
    await asyncio.sleep(4 * TURN_SECONDS)
    pool.shutdown()
    ends = await asyncio.gather(*jobs, return_exceptions=True)
    assert all(end is False or isinstance(end, asyncio.CancelledError) for end in ends)
