"""``/v1``: TensorFlow Serving's REST interface, predict and classify.

Bodies are read as JSON whatever their Content-Type says, as its clients send them. Source:
``g3doc/api_rest.md`` of tensorflow/serving.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter

from fastapi import FastAPI

from service.answer_v1 import classify, predict
from service.decode import Limits
from service.decode.instances import from_classify, from_predict
from service.errors import Invalid
from service.exchange import Exchange, Reply
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.offload import SMALL_JSON_BYTES, SMALL_ROWS, when_large
from service.routes import v1_models
from service.routes.v1_models import asked_version
from service.routing import add_route
from service.run import digits
from service.runtime import Images, Probabilities
from service.schemas.protocols import V1_CLASSIFY, V1_PREDICT
from service.settings import Settings

_Build = Callable[[Probabilities], bytes]
"""Makes the body of the answer."""


def mount(app: FastAPI, settings: Settings, lifecycle: Lifecycle, metrics: Metrics) -> None:
    """Adds the routes to ``app``."""

    async def v1_predict(exchange: Exchange) -> Reply:
        """Classifies images in row form (`instances`) or in column form (`inputs`)."""
        return await _answer(exchange, settings, lifecycle, metrics, _read_predict)

    async def v1_classify(exchange: Exchange) -> Reply:
        """For each example the labels "0" to "9" with their probabilities."""
        return await _answer(exchange, settings, lifecycle, metrics, _read_classify)

    async def v1_other(exchange: Exchange) -> Reply:
        """What the model has no signature for, such as the protocol's `regress`."""
        asked_version(exchange, lifecycle)
        verb = exchange.path_params["verb"]
        raise Invalid(f"the model has no {verb[:40]!r}; it has 'predict' and 'classify'")

    for verb, endpoint, options in (
        ("predict", v1_predict, V1_PREDICT),
        ("classify", v1_classify, V1_CLASSIFY),
    ):
        add_route(app, "POST", f"/v1/models/mnist:{verb}", endpoint, **options)
        for path in v1_models.PATHS:
            add_route(app, "POST", f"{path}:{verb}", endpoint, include_in_schema=False)
    for path in v1_models.PATHS:
        add_route(app, "POST", f"{path}:{{verb}}", v1_other, include_in_schema=False)
    v1_models.mount(app, lifecycle)


async def _answer(
    exchange: Exchange,
    settings: Settings,
    lifecycle: Lifecycle,
    metrics: Metrics,
    read: Callable[[bytes, Limits], tuple[Images, _Build]],
) -> Reply:
    asked = asked_version(exchange, lifecycle)
    deadline = exchange.deadline(settings.deadline_s)
    body = await exchange.content(settings.max_body_bytes)
    start = perf_counter()
    limits = Limits(images=settings.max_images, body_bytes=settings.max_body_bytes)
    large = len(body) > SMALL_JSON_BYTES
    images, build = await when_large(large, read, body, limits, until=deadline)
    exchange.decode_s = perf_counter() - start
    served = await lifecycle.version(asked, deadline)
    ran = await served.batcher.infer(images, deadline, alone=exchange.alone)
    exchange.queue_s, exchange.infer_s = ran.queue_s, ran.infer_s
    start = perf_counter()
    rows = len(images)
    answer = await when_large(rows > SMALL_ROWS, build, ran.probabilities)
    metrics.predicted(ran.each(digits))
    served.statistics.answered(rows, exchange, start)
    # The form has no place for the version that answered.
    return Reply(answer, headers=((b"x-model-version", served.version.encode()),))


def _read_predict(body: bytes, limits: Limits) -> tuple[Images, _Build]:
    images, row_form = from_predict(body, limits)
    return images, partial(predict, row_form=row_form)


def _read_classify(body: bytes, limits: Limits) -> tuple[Images, _Build]:
    return from_classify(body, limits), classify
