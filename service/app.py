"""The FastAPI application: ``create_app`` builds it for any ASGI server, and for ``serve``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from service import __version__
from service.api import evaluate, learning, operations, pages, predict, v1, v2
from service.api.routing import EndpointRoute
from service.background.memory import fitted, memory_limit, trim_when_idle
from service.core import Core
from service.decode.pictures import warm
from service.http.asgi import AsgiDoor
from service.http.dispatch import Dispatcher
from service.observe.logs import STDERR
from service.settings import Settings, read_settings
from service.store.capture import clear_regularly

_ROUTERS = (
    *(predict.router, v2.router, v1.router, evaluate.router),
    *(operations.models, operations.router, pages.router, learning.router),
)
"""In the order in which FastAPI looks for a request's route: the busiest first."""


def create_app(settings: Settings | None = None, shared: Path | None = None) -> FastAPI:
    """The whole service as a FastAPI application.

    Without ``settings`` they are read from the environment. All workers of ``serve`` keep their
    figures in the folder ``shared``. Raises SettingsError; the start raises StartError.
    """
    settings = fitted(read_settings() if settings is None else settings, memory_limit())
    core = Core(settings, shared, __version__)
    routes = [route for router in _ROUTERS for route in router.routes]
    app = FastAPI(
        title="mnist-serve",
        version=__version__,
        description="Digit recognition: trained with Keras, served with ONNX Runtime.",
        routes=routes,
        lifespan=_lifespan,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.router.routes.append(pages.openapi_route(app))
    dispatcher = Dispatcher(core, (r for r in app.routes if isinstance(r, EndpointRoute)))
    app.state.core, app.state.dispatcher = core, dispatcher
    app.state.door = app.router.default = AsgiDoor(dispatcher)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Loads the champion before the first request, and stops the threads after the last."""
    core: Core = app.state.core
    await core.versions.start()
    core.challenge.start()
    warm(core.pictures)
    regular = [asyncio.create_task(trim_when_idle(lambda: not core.bodies.total))]
    if core.store is not None:
        regular.append(asyncio.create_task(clear_regularly(core.store, core.settings)))
    yield
    for task in regular:
        task.cancel()
    core.challenge.stop()
    await core.versions.stop()
    if core.store is not None:
        if core.capture is not None:
            core.capture.flush()
        await asyncio.to_thread(core.store.close)
    if core.tracer is not None:
        await asyncio.to_thread(core.tracer.close)
    await asyncio.to_thread(STDERR.flush)
