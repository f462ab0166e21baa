"""What is done on threads beside the event loop, and what is not begun any more."""

from __future__ import annotations

import asyncio
import threading
from time import perf_counter

from service.errors import DeadlineExceeded
from service.offload import when_large


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
