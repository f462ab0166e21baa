"""Builds the application of one worker from its settings."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from service import __version__
from service.api import datasets, docs, evaluate, health, metrics, models, page, predict, read
from service.api.v1 import predict as v1_predict
from service.api.v2 import server
from service.background.picture_pool import PicturePool
from service.background.threads import worker_threads
from service.http.dispatch import Dispatcher
from service.models.versions import Versions
from service.observe.logs import AccessLog, configure_logs
from service.observe.metrics import Metrics
from service.settings import Settings

DESCRIPTION = "Digit recognition: Keras-trained, ONNX-served."


def build(settings: Settings, shared: Path | None = None) -> Dispatcher:
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
    versions = Versions(settings, figures)
    pictures = PicturePool(worker_threads(settings.workers))
    predict.mount(app, settings, versions, figures, pictures)
    read.mount(app, settings, versions, figures, pictures)
    evaluate.mount(app, settings, versions)
    datasets.mount(app, settings)
    models.mount(app, versions)
    health.mount(app, versions)
    metrics.mount(app, figures)
    v1_predict.mount(app, settings, versions, figures)
    server.mount(app, settings, versions, figures)
    page.mount(app)
    docs.mount(app)
    access_log = AccessLog(as_json) if settings.access_log else None
    return Dispatcher(app, settings, versions, figures, access_log, warm=pictures.warm)
