"""``/v1``: TensorFlow Serving's REST interface, predict and classify.

Bodies are read as JSON whatever their Content-Type says, as its clients send them. Source:
``g3doc/api_rest.md`` of tensorflow/serving.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from fastapi import FastAPI

from service.answer_v1 import classify, predict
from service.decode import Limits
from service.decode.instances import from_classify, from_predict
from service.exchange import Exchange, Reply
from service.lifecycle import Lifecycle, Loaded
from service.metrics import Metrics
from service.offload import SMALL_JSON_BYTES, SMALL_ROWS, when_large
from service.routes import v1_models
from service.routes.v1_models import asked_version
from service.routing import add_route
from service.runtime import Images, Probabilities
from service.schemas_protocols import V1_CLASSIFY, V1_PREDICT
from service.settings import Settings

_Decoded = TypeVar("_Decoded")


def mount(app: FastAPI, settings: Settings, lifecycle: Lifecycle, metrics: Metrics) -> None:
    """Adds the routes to ``app``."""
    limits = Limits(images=settings.max_images, body_bytes=settings.max_body_bytes)

    async def v1_predict(exchange: Exchange) -> Reply:
        """Classifies images in row form (`instances`) or in column form (`inputs`)."""
        asked = await asked_version(exchange, lifecycle)
        images, row_form = await _decoded(exchange, from_predict)
        served, probabilities = await _infer(exchange, asked, images)
        return await _answered(
            exchange, served, probabilities, lambda rows: predict(rows, row_form=row_form)
        )

    async def v1_classify(exchange: Exchange) -> Reply:
        """For each example the labels "0" to "9" with their probabilities."""
        asked = await asked_version(exchange, lifecycle)
        images = await _decoded(exchange, from_classify)
        served, probabilities = await _infer(exchange, asked, images)
        return await _answered(exchange, served, probabilities, classify)

    async def _decoded(exchange: Exchange, decode: Callable[[bytes, Limits], _Decoded]) -> _Decoded:
        body = await exchange.content(settings.max_body_bytes)
        start = perf_counter()
        large, until = len(body) > SMALL_JSON_BYTES, exchange.deadline(settings.deadline_s)
        decoded = await when_large(large, decode, body, limits, until=until)
        exchange.decode_s = perf_counter() - start
        return decoded

    async def _infer(
        exchange: Exchange, asked: str | None, images: Images
    ) -> tuple[Loaded, Probabilities]:
        deadline = exchange.deadline(settings.deadline_s)
        served = await lifecycle.version(asked, deadline)
        ran = await served.batcher.infer(images, deadline, alone=exchange.alone)
        exchange.queue_s, exchange.infer_s = ran.queue_s, ran.infer_s
        return served, ran.probabilities

    async def _answered(
        exchange: Exchange,
        served: Loaded,
        probabilities: Probabilities,
        build: Callable[[Probabilities], bytes],
    ) -> Reply:
        start = perf_counter()
        answer = await when_large(len(probabilities) > SMALL_ROWS, build, probabilities)
        metrics.predicted(probabilities.argmax(axis=1).tolist())
        served.statistics.answered(len(probabilities), exchange, start)
        # The form has no place for the version that answered.
        return Reply(answer, headers=((b"x-model-version", served.version.encode()),))

    for verb, endpoint, options in (
        ("predict", v1_predict, V1_PREDICT),
        ("classify", v1_classify, V1_CLASSIFY),
    ):
        add_route(app, "POST", f"/v1/models/mnist:{verb}", endpoint, **options)
        for path in v1_models.PATHS:
            add_route(app, "POST", f"{path}:{verb}", endpoint, include_in_schema=False)
    v1_models.mount(app, lifecycle)
