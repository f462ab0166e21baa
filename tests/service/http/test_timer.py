"""A timer rings when it was last told to."""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest

from service.http.peer import Timer

pytestmark = pytest.mark.alone  # the times are short


def rung(*sets: float | None, within_s: float = 0.3) -> list[float]:
    """When the timer rang, in seconds, if it is set so every 20 ms; None unsets it."""

    async def scene() -> list[float]:
        start, rings = perf_counter(), list[float]()
        timer = Timer(asyncio.get_running_loop(), lambda: rings.append(perf_counter() - start))
        for seconds in sets:
            if seconds is None:
                timer.due = None
            else:
                timer.set(seconds)
            await asyncio.sleep(0.02)
        await asyncio.sleep(within_s)
        assert timer.due is None or not rings
        return rings

    return asyncio.run(scene())


def test_it_rings_once() -> None:
    (ring,) = rung(0.05)
    assert ring >= 0.05


def test_set_anew_it_rings_at_the_last_time_alone() -> None:
    (later,) = rung(0.05, 0.15)
    assert later >= 0.17
    (sooner,) = rung(60, 0.05)
    assert sooner < 1


def test_unset_it_does_not_ring_until_it_is_set_again() -> None:
    assert rung(0.05, None) == []
    (ring,) = rung(0.05, None, 0.1)
    assert ring >= 0.14


def test_at_its_end_it_rings_no_more() -> None:
    async def scene() -> list[str]:
        rings: list[str] = []
        timer = Timer(asyncio.get_running_loop(), lambda: rings.append("ring"))
        timer.set(0.02)
        timer.end()
        await asyncio.sleep(0.1)
        return rings

    assert asyncio.run(scene()) == []
