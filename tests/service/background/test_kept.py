"""Results that are worked out once."""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest

from service.background.kept import Kept
from service.errors import DeadlineExceeded

pytestmark = pytest.mark.anyio
LATER = 1e12


class Work:
    """Counts how often it was begun; ends when it is let."""

    def __init__(self) -> None:
        self.begun = 0
        self.end = asyncio.Event()
        self.fault: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        await self.end.wait()
        if self.fault is not None:
            raise self.fault
        return self.begun


async def test_all_who_ask_share_one_run_and_its_result_is_kept() -> None:
    kept, work = Kept[int](2), Work()
    asking = [asyncio.create_task(kept.get("a", work, LATER)) for _ in range(5)]
    await asyncio.sleep(0)
    work.end.set()
    assert await asyncio.gather(*asking) == [1] * 5
    assert await kept.get("a", work, LATER) == 1
    assert [await kept.get(key, work, LATER) for key in "bcaca"] == [2, 3, 4, 3, 4]


async def test_the_run_goes_on_if_who_asked_first_leaves_or_is_late() -> None:
    kept, work = Kept[int](2), Work()
    first = asyncio.create_task(kept.get("a", work, LATER))
    second = asyncio.create_task(kept.get("a", work, LATER))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(DeadlineExceeded):
        await kept.get("a", work, perf_counter() + 0.01)
    work.end.set()
    assert await second == 1


async def test_a_failure_is_that_of_its_caller_alone_and_the_work_of_the_next_begins() -> None:
    kept, spent, work = Kept[int](2), Work(), Work()
    spent.fault = ValueError("the rate of this caller is spent")
    asking = [asyncio.create_task(kept.get("a", each, LATER)) for each in (spent, work, work)]
    await asyncio.sleep(0)
    spent.end.set()
    work.end.set()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(ends[0]), *ends[1:]] == [ValueError, 1, 1]
    assert await kept.get("a", spent, LATER) == 1
