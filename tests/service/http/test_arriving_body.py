"""The body of a request while it arrives."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from service.http.peer import ArrivingBody

pytestmark = pytest.mark.anyio


class Reading:
    """A transport that is told to go on reading."""

    def resume_reading(self) -> None:
        """Nothing waits here."""


@pytest.mark.parametrize(("size", "count", "most"), [(1, 5000, 1), (100_000, 50, 26)])
async def test_small_pieces_are_joined_and_large_ones_are_not_copied_again_and_again(
    size: int, count: int, most: int
) -> None:
    body, held = ArrivingBody(cast(asyncio.Transport, Reading())), list[int]()
    reading = asyncio.create_task(body.read(10_000_000, held.append))
    for number in range(count):
        await asyncio.sleep(0)
        body.pieces.append(bytes([number % 256]) * size)
        body.size += size
        body.complete = number == count - 1
        body.wake()
    parts = await reading
    assert len(parts) <= most
    assert b"".join(parts) == b"".join(bytes([n % 256]) * size for n in range(count))
    assert held[-1] == size * count
