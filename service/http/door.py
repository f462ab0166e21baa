"""The application that ``serve`` runs on uvicorn; the connections answer the requests."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from service.core import Core
from service.http.dispatch import Dispatcher
from service.http.shutdown import drain_before_stopping
from service.http.throttle import Throttle
from service.models.versions import StartError
from service.observe.logs import LOGGER, reopen
from service.tls import Tls, TlsError

if TYPE_CHECKING:
    from service.rpc.server import RpcServer


class FastDoor:
    """The faster door onto ``app``.

    It calls ``tell_start`` with why the service cannot start, or with "" once it has.
    """

    def __init__(self, app: FastAPI, tell_start: Callable[[str], object]) -> None:
        self._app = app
        self.core: Core = app.state.core
        self.dispatcher: Dispatcher = app.state.dispatcher
        self._tell_start = tell_start
        self.throttle = Throttle(self.core.versions.queue)
        self.tls = Tls.of(self.core.settings, self.core.metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application's lifespan (ASGI 3.0) before uvicorn listens and after it stops."""
        assert scope["type"] == "lifespan"
        await receive()
        lifespan = self._app.router.lifespan_context(self._app)
        try:
            if self.tls is not None:
                self.tls.start()
            await lifespan.__aenter__()
            rpc = await self._start_rpc()
        except Exception as error:  # noqa: BLE001 - reported in one line, and in the log
            if isinstance(error, (StartError, TlsError)):
                self._tell_start(str(error))
            else:
                LOGGER.error("the start failed", exc_info=error)
                self._tell_start(f"the start failed: {type(error).__name__}")
            await send({"type": "lifespan.startup.failed"})
            return
        close_rpc = None if rpc is None else rpc.stop
        drain_before_stopping(self.core.versions, self.core.settings.drain_delay_s, close_rpc)
        self._reload_at_hangup(asyncio.get_running_loop())
        self._tell_start("")
        await send({"type": "lifespan.startup.complete"})
        following = None if self.tls is None else asyncio.create_task(self.tls.follow())
        await receive()
        if following is not None:
            following.cancel()
        if rpc is not None:
            await rpc.stop()
        await lifespan.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})

    async def _start_rpc(self) -> RpcServer | None:
        """Starts gRPC beside HTTP if a port is set for it."""
        if not self.core.settings.grpc_port:
            return None
        from service.rpc.server import RpcServer

        rpc = RpcServer(self.core, self.dispatcher.record, self.tls)
        await rpc.start()
        return rpc

    def _reload_at_hangup(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on SIGHUP takes up keys, certificate and log anew, but for what is wrong."""

        def reload() -> None:
            reopen()
            self.core.access.reload()
            if self.tls is not None:
                self.tls.look(again=True)
            LOGGER.info("took up keys, certificate and log anew")

        def on_hangup(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(loop.run_in_executor, None, reload)

        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, on_hangup)
