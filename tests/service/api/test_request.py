"""A request's body: put together, and without its compression."""

from __future__ import annotations

import asyncio
import gzip
import threading

from service.api.request import Request
from service.background.large_work import when_large


def with_body(body: bytes, **fields: bytes) -> Request:
    exchange = Request("POST", "/predict", b"", {k.encode(): v for k, v in fields.items()})
    exchange.put(body)
    exchange.end()
    return exchange


def test_a_small_compressed_body_waits_for_no_thread() -> None:
    free = threading.Event()

    async def scene() -> bytes:
        busy = [asyncio.create_task(when_large(True, free.wait)) for _ in range(20)]
        busy += [asyncio.create_task(asyncio.to_thread(free.wait)) for _ in range(100)]
        await asyncio.sleep(0.05)
        exchange = with_body(gzip.compress(b"digits"), **{"content-encoding": b"gzip"})
        try:
            return await asyncio.wait_for(exchange.content(1000), 5)
        finally:
            free.set()
            await asyncio.gather(*busy)

    assert asyncio.run(scene()) == b"digits"


def test_a_body_that_is_only_compressed_small_is_inflated_beside_the_event_loop() -> None:
    body = gzip.compress(bytes(50_000_000))

    async def scene() -> tuple[int, int]:
        exchange = with_body(body, **{"content-encoding": b"gzip"})
        inflating = asyncio.create_task(exchange.content(100_000_000))
        turns = 0
        while not inflating.done():
            await asyncio.sleep(0.001)
            turns += 1
        return len(await inflating), turns

    size, turns = asyncio.run(scene())
    assert size == 50_000_000
    assert turns > 3
