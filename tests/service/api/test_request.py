"""A request's body: put together, and without its compression."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from service.api.request import Request
from service.background.large_work import when_large
from service.core import Core
from service.settings import Settings


@dataclass
class Arrived:
    """A body that has arrived whole."""

    pieces: list[bytes]
    complete: bool = field(default=True, init=False)

    async def read(self, limit: int, hold: Callable[[int], None]) -> list[bytes]:
        raise AssertionError("a body that has arrived needs no reading")


def with_body(body: bytes, **fields: bytes) -> Request:
    named = {name.encode(): value for name, value in fields.items()}
    core = Core(Settings())
    return Request(core, "POST", "/predict", fields=named, body=Arrived([body]))


def test_a_small_compressed_body_waits_for_no_thread() -> None:
    free = threading.Event()

    async def scene() -> bytes:
        busy = [asyncio.create_task(when_large(True, free.wait)) for _ in range(20)]
        busy += [asyncio.create_task(asyncio.to_thread(free.wait)) for _ in range(100)]
        await asyncio.sleep(0.05)
        request = with_body(gzip.compress(b"digits"), **{"content-encoding": b"gzip"})
        try:
            return await asyncio.wait_for(request.content(1000), 5)
        finally:
            free.set()
            await asyncio.gather(*busy)

    assert asyncio.run(scene()) == b"digits"


def test_a_body_that_is_only_compressed_small_is_inflated_beside_the_event_loop() -> None:
    body = gzip.compress(bytes(50_000_000))

    async def scene() -> tuple[int, int]:
        request = with_body(body, **{"content-encoding": b"gzip"})
        inflating = asyncio.create_task(request.content(100_000_000))
        turns = 0
        while not inflating.done():
            await asyncio.sleep(0.001)
            turns += 1
        return len(await inflating), turns

    size, turns = asyncio.run(scene())
    assert size == 50_000_000
    assert turns > 3
