"""The FastAPI application: ``create_app`` builds it for any ASGI server, and for ``serve``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI

from service import __version__
from service.access.guard import Access
from service.api import (
    evaluate,
    explain,
    learning,
    models,
    operations,
    pages,
    predict,
    v1,
    v2,
)
from service.api.routing import EndpointRoute
from service.background.fair_threads import FairThreads
from service.background.kept import Kept
from service.background.large_work import threads
from service.background.memory import Room, fitted, memory_limit, trim_when_idle
from service.background.threads import worker_threads
from service.challenge.challenge import Challenge
from service.core import Core
from service.decode.pictures import warm
from service.drift.watch import Watch
from service.http.asgi import AsgiDoor
from service.http.dispatch import Dispatcher
from service.inference.admission import BodyBudget, Rates
from service.models.versions import Versions
from service.observe.logs import STDERR, RequestLog, configure_logs
from service.observe.metrics import Metrics
from service.observe.traces import Tracer
from service.reasons.training_images import FirstUse
from service.settings import Settings, read_settings
from service.store.capture import Capture, clear_regularly
from service.store.store import store_of
from service.types import Limits

_ROUTERS = (
    *(predict.router, v2.router, v1.router, explain.router, evaluate.router),
    *(models.router, operations.router, pages.router, learning.router),
)
"""In the order in which FastAPI looks for a request's route: the busiest first."""
_MOST_EVALUATIONS = 64


def create_app(settings: Settings | None = None, shared: Path | None = None) -> FastAPI:
    """The whole service as a FastAPI application.

    Without ``settings`` they are read from the environment. ``shared`` is the folder in which all
    workers of ``serve`` keep their figures. Raises :class:`service.settings.SettingsError`; the
    start raises :class:`service.models.versions.StartError` if no champion can be loaded.
    """
    settings = fitted(read_settings() if settings is None else settings, memory_limit())
    core = build_core(settings, shared)
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


def build_core(settings: Settings, shared: Path | None) -> Core:
    """Puts together what the endpoints share."""
    as_json = configure_logs(settings.log_format, settings.log_level)
    metrics = Metrics(shared)
    metrics.set("memory_limit_bytes", memory_limit())
    STDERR.dropped = lambda lines: metrics.count("log_lines_dropped", by=lines)
    tracer = None
    if settings.otlp_endpoint:
        lost = partial(metrics.count, "spans_dropped")
        tracer = Tracer(settings.otlp_endpoint, settings.trace_share, __version__, lost)
    versions = Versions(settings, metrics, shared)
    store, capture = store_of(settings, metrics), None
    if store is not None and settings.capture != "off":
        capture = Capture(store, settings, metrics)
    challenge = Challenge(versions, metrics, store)
    watch = Watch(lambda: versions.serving, metrics, None if capture is None else store)
    versions.verbs["drift"] = watch.view
    has_rates = settings.rate > 0 or settings.keys is not None  # a key may have one of its own
    # They rest less, since one picture takes longer than a piece of other work.
    pictures = FairThreads("picture", worker_threads(settings.workers), rest=0.5)
    return Core(
        settings=settings,
        versions=versions,
        pictures=pictures,
        metrics=metrics,
        bodies=BodyBudget(settings.max_waiting_bytes, versions.queue, threads, pictures),
        limits=Limits(
            images=settings.max_images,
            body_bytes=settings.max_body_bytes,
            picture_pixels=settings.max_picture_pixels,
            picture_side=settings.max_picture_side,
            hold_pixels=Room(settings.max_picture_bytes).hold,
        ),
        log=RequestLog(as_json, settings.access_log),
        tracer=tracer,
        access=Access(settings, shared, metrics),
        training_images=FirstUse(settings.data),
        layers=Kept(1),
        rates=Rates(settings.rate, shared) if has_rates else None,
        evaluations=Kept(_MOST_EVALUATIONS),
        challenge=challenge,
        store=store,
        watch=watch,
        followers=(watch, challenge) if capture is None else (watch, challenge, capture),
    )


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
        for each in core.followers:
            if isinstance(each, Capture):
                each.flush()
        await asyncio.to_thread(core.store.close)
    if core.tracer is not None:
        await asyncio.to_thread(core.tracer.close)
    await asyncio.to_thread(STDERR.flush)
