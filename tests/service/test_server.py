"""How new callers are let in."""

from __future__ import annotations

import asyncio
import socket

import uvloop

from service.server import ACCEPTS, handles


def test_a_few_turns_of_the_loop_let_many_callers_in() -> None:
    made = 0

    class Counted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            nonlocal made
            made += 1

    async def one_turn() -> None:
        loop = asyncio.get_running_loop()
        listeners = handles(listener, 1)
        servers = [await loop.create_server(Counted, sock=each) for each in listeners]
        callers = [socket.create_connection(listener.getsockname()) for _ in range(2 * ACCEPTS)]
        for _ in range(4):
            await asyncio.sleep(0)
        assert made >= ACCEPTS
        for caller in callers:
            caller.close()
        for server in servers:
            server.close()

    listener = socket.create_server(("127.0.0.1", 0))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(one_turn())


def test_several_workers_share_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for workers, count in ((1, ACCEPTS), (2, ACCEPTS // 2), (3 * ACCEPTS, 1)):
            listeners = handles(listener, workers)
            assert (listeners[0], len(listeners)) == (listener, count)
            assert {each.getsockname() for each in listeners} == {listener.getsockname()}
            for other in listeners[1:]:
                other.close()
