"""The application that ``serve`` runs on uvicorn; the connections answer the requests.

It drains before a stop: readiness 503 first, then no new connections, then the last answers.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from service.core import Core
from service.http.dispatch import Dispatcher
from service.inference.admission import RETRY_SECONDS, Queue
from service.models.versions import StartError
from service.observe.logs import LOGGER, reopen
from service.tls import Tls, TlsError

if TYPE_CHECKING:
    from service.rpc.server import RpcServer


SETTLE_SECONDS = 0.25  # longer than an accepted connection takes to bring its first request


class Throttle:
    """Stops reading connections that got 429: some clients retry at once, whatever it says."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._held: dict[Transport, TimerHandle] = {}

    def hold(self, transport: Transport, *, until_room: bool) -> None:
        """Stops reading for RETRY_SECONDS, or ``until_room`` for it is in the queue."""
        if transport in self._held:
            return
        transport.pause_reading()
        loop = asyncio.get_running_loop()
        if not until_room:
            loop.call_later(RETRY_SECONDS, _read_again, transport)
            return
        self._held[transport] = loop.call_later(RETRY_SECONDS, self._release, transport)
        self._queue.on_room = lambda: self._release(next(iter(self._held)))  # it waited longest

    def _release(self, transport: Transport) -> None:
        self._held.pop(transport).cancel()
        if not self._held:
            self._queue.on_room = None
        _read_again(transport)


def _read_again(transport: Transport) -> None:
    if not transport.is_closing():
        transport.resume_reading()


class FastDoor:
    """The faster door onto ``app``.

    It calls ``tell_start`` with why the service cannot start, or with "" once it has.
    """

    def __init__(self, app: FastAPI, tell_start: Callable[[str], object]) -> None:
        self._app, self._tell_start = app, tell_start
        self.core: Core = app.state.core
        self.dispatcher: Dispatcher = app.state.dispatcher
        self.throttle = Throttle(self.core.versions.queue)
        self.tls = Tls.of(self.core.settings, self.core.metrics)
        self._rpc: RpcServer | None = None
        self._tasks: list[Future[None]] = []  # kept from garbage collection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application's lifespan (ASGI 3.0) before uvicorn listens and after it stops."""
        assert scope["type"] == "lifespan"
        await receive()
        lifespan = self._app.router.lifespan_context(self._app)
        try:
            if self.tls is not None:
                self.tls.start()
            await lifespan.__aenter__()
            await self._start_rpc()
        except Exception as error:  # noqa: BLE001 - reported in one line, and in the log
            if isinstance(error, (StartError, TlsError)):
                self._tell_start(str(error))
            else:
                LOGGER.error("the start failed", exc_info=error)
                self._tell_start(f"the start failed: {type(error).__name__}")
            await send({"type": "lifespan.startup.failed"})
            return
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            reload = partial(loop.run_in_executor, None, self._reload)
            signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(reload))
            drain = partial(self._drain, signal.getsignal(signal.SIGTERM))
            signal.signal(
                signal.SIGTERM,
                lambda *_: self._tasks.append(asyncio.run_coroutine_threadsafe(drain(), loop)),
            )
        self._tell_start("")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self._rpc is not None:
            await self._rpc.stop()
        await lifespan.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})

    async def _start_rpc(self) -> None:
        if self.core.settings.grpc_port:
            from service.rpc.server import RpcServer

            self._rpc = RpcServer(self.core, self.dispatcher.record, self.tls)
            await self._rpc.start()

    def _reload(self) -> None:
        """Takes up keys, certificate and log anew, but for what is wrong."""
        reopen()
        for files in (self.core.access.keys, self.tls):
            if files is not None:
                files.look()
        LOGGER.info("took up keys, certificate and log anew")

    async def _drain(self, stop: Any) -> None:
        """Turns readiness to 503, waits, and stops uvicorn; a second SIGTERM stops it at once."""
        versions, seconds = self.core.versions, self.core.settings.drain_delay_s
        closing = None
        if not versions.draining:
            versions.draining = True
            LOGGER.info("draining", extra={"seconds": seconds})
            await asyncio.sleep(seconds)  # load balancers see the 503 meanwhile
            server = getattr(stop, "__self__", None)  # uvicorn's handler is a method of its server
            if isinstance(server, uvicorn.Server):
                await _close_listeners(server)
            closing = None if self._rpc is None else asyncio.ensure_future(self._rpc.stop())
            await asyncio.sleep(SETTLE_SECONDS)
        if callable(stop):
            stop(signal.SIGTERM, None)
        if closing is not None:
            await closing


async def _close_listeners(server: uvicorn.Server) -> None:
    """Accepts the connections that wait, and then closes the listening sockets.

    The kernel resets what waits when a socket's last descriptor is closed. That is the last one of
    the callers' port; the sockets of other ports come before.
    """
    *others, last = server.servers
    for other in others:
        other.close()
    waiting: list[socket.socket] = []
    with socket.socket(fileno=os.dup(last.sockets[0].fileno())) as listener, suppress(OSError):
        listener.setblocking(False)
        while True:
            accepted, _ = listener.accept()
            accepted.setblocking(False)
            waiting.append(accepted)
    last.close()
    loop, config = asyncio.get_running_loop(), server.config
    protocol: Any = config.http_protocol_class  # made as uvicorn makes it
    make = partial(protocol, config, server.server_state, server.lifespan.state)
    made = [loop.connect_accepted_socket(make, each, ssl=config.ssl) for each in waiting]
    # The peers that have left, or speak no TLS, are of no interest, nor are they waited for.
    await asyncio.wait([asyncio.gather(*made, return_exceptions=True)], timeout=SETTLE_SECONDS)
