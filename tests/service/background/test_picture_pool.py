"""The thread pool for pictures."""

from __future__ import annotations

import asyncio
import threading
from time import perf_counter

import pytest

from service.background.picture_pool import PicturePool
from service.errors import DeadlineExceeded


@pytest.mark.anyio
async def test_what_waited_past_its_deadline_for_a_thread_is_not_begun() -> None:
    begun: list[str] = []
    free = threading.Event()
    pool = PicturePool(1)
    held = asyncio.create_task(pool.run(free.wait))
    await asyncio.sleep(0)
    late = asyncio.create_task(pool.run(lambda: begun.append("late"), perf_counter() + 0.01))
    early = asyncio.create_task(pool.run(lambda: begun.append("early"), perf_counter() + 60))
    await asyncio.sleep(0.05)
    free.set()
    await asyncio.gather(held, early)
    with pytest.raises(DeadlineExceeded):
        await late
    assert begun == ["early"]
