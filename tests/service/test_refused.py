"""Who was refused is heard again when there is room, and not before, however often it asks."""

from __future__ import annotations

import asyncio

from service.refused import LONGEST_SECONDS, Refused


class Caller:
    def __init__(self) -> None:
        self.read = True

    def stop_reading(self) -> None:
        self.read = False

    def read_on(self) -> None:
        self.read = True


def test_they_are_let_in_one_at_a_time_in_the_order_they_came() -> None:
    async def scene() -> None:
        refused, callers = Refused(), [Caller() for _ in range(3)]
        for caller in callers:
            refused.hold(caller)
        assert [caller.read for caller in callers] == [False, False, False]
        refused.let_one_in()
        assert [caller.read for caller in callers] == [True, False, False]
        refused.hold(callers[0])
        refused.let_one_in()
        refused.let_one_in()
        assert [caller.read for caller in callers] == [False, True, True]
        refused.let_one_in()
        refused.let_one_in()
        assert len(refused) == 0

    asyncio.run(scene())


def test_none_is_held_longer_than_it_was_told_to_wait() -> None:
    async def scene() -> None:
        refused, caller = Refused(), Caller()
        refused.hold(caller)
        refused.hold(caller)
        await asyncio.sleep(LONGEST_SECONDS + 0.2)
        assert caller.read
        assert len(refused) == 0

    asyncio.run(scene())
