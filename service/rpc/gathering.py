"""Lets calls wait for each other, so that one execution of the model serves many.

HTTP's requests of one turn of the event loop join by themselves. gRPC hands over one event a turn,
so that each call would be executed alone, and the interpreter change threads for each. While calls
overlap, they wait until none has joined for a few turns. To notice that they overlap, one of
several calls that seem alone waits too. There is no timer: a lone call waits for no time.
"""

import asyncio

from service.api.request import Request

TURNS = 5  # turns of the event loop without another call, after which those that wait go on
PROBE_EVERY = 16
MOST_CALLS = 64
_ALONE = (None,)  # what is under way when a call is alone: itself


class Gathering:
    """The calls of one worker. Use it on the worker's event loop."""

    def __init__(self) -> None:
        self._waiting = list[asyncio.Future[None]]()
        self._crowded = 0  # gatherings to come even if no calls meet
        self._alone = 0

    async def join(self, request: Request) -> None:
        """Waits for other calls, or lets ``request`` be executed alone."""
        if not self._crowded and not self._waiting:
            self._alone += 1
            if self._alone % PROBE_EVERY:
                request.under_way = _ALONE
                return
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._turn, loop, 0, 0)
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _turn(self, loop: asyncio.AbstractEventLoop, before: int, quiet: int) -> None:
        joined = len(self._waiting)
        quiet = 0 if joined > before else quiet + 1
        if quiet < TURNS and joined < MOST_CALLS:
            loop.call_soon(self._turn, loop, joined, quiet)
            return
        self._crowded = MOST_CALLS if joined > 1 else max(0, self._crowded - 1)
        for turn in self._waiting:
            if not turn.done():  # its caller left
                turn.set_result(None)
        self._waiting.clear()
