"""Builds the application of one worker from its settings."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from service import __version__
from service.http import Edge
from service.lifecycle import Lifecycle
from service.logs import AccessLog, configure_logs
from service.lookers import Lookers
from service.metrics import Metrics
from service.routes import (
    datasets,
    docs,
    evaluate,
    health,
    metrics,
    models,
    page,
    predict,
    read,
    v1,
    v2,
)
from service.settings import Settings
from service.threads import worker_threads

DESCRIPTION = "Digit recognition: Keras-trained, ONNX-served."


def build(settings: Settings, shared: Path | None = None) -> Edge:
    """The ASGI application; ``shared`` is the folder where all workers keep their figures."""
    as_json = configure_logs(settings.log_format, settings.log_level)
    app = FastAPI(
        title="mnist-serve",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    figures = Metrics(shared)
    lifecycle = Lifecycle(settings, figures)
    lookers = Lookers(worker_threads(settings.workers))
    predict.mount(app, settings, lifecycle, figures, lookers)
    read.mount(app, settings, lifecycle, figures, lookers)
    evaluate.mount(app, settings, lifecycle)
    datasets.mount(app, settings)
    models.mount(app, lifecycle)
    health.mount(app, lifecycle)
    metrics.mount(app, figures)
    v1.mount(app, settings, lifecycle, figures)
    v2.mount(app, settings, lifecycle, figures)
    page.mount(app)
    docs.mount(app)
    access_log = AccessLog(as_json) if settings.access_log else None
    return Edge(app, settings, lifecycle, figures, access_log, warm=lookers.warm)
