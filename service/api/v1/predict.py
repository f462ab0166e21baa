"""``/v1``: TensorFlow Serving's REST interface, predict and classify.

Bodies are read as JSON whatever their Content-Type says, as its clients send them. Source:
``g3doc/api_rest.md`` of tensorflow/serving.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter

from fastapi import FastAPI

from service.answer.v1 import classify, predict
from service.api.request import Reply, Request
from service.api.routing import add_route
from service.api.schemas.protocols import V1_CLASSIFY, V1_PREDICT
from service.api.v1 import models
from service.api.v1.models import asked_version
from service.background.large_work import SMALL_JSON_BYTES, SMALL_ROWS, when_large
from service.decode.v1 import from_classify, from_predict
from service.errors import Invalid
from service.inference.batch_result import digits
from service.models.versions import Versions
from service.observe.metrics import Metrics
from service.settings import Settings
from service.types import Images, Limits, Probabilities

_Build = Callable[[Probabilities], bytes]
"""Makes the body of the answer."""


def mount(app: FastAPI, settings: Settings, versions: Versions, metrics: Metrics) -> None:
    """Adds the routes to ``app``."""

    async def v1_predict(request: Request) -> Reply:
        """Classifies images in row form (`instances`) or in column form (`inputs`)."""
        return await _answer(request, settings, versions, metrics, _read_predict)

    async def v1_classify(request: Request) -> Reply:
        """For each example the labels "0" to "9" with their probabilities."""
        return await _answer(request, settings, versions, metrics, _read_classify)

    async def v1_other(request: Request) -> Reply:
        """What the model has no signature for, such as the protocol's `regress`."""
        asked_version(request, versions)
        verb = request.path_params["verb"]
        raise Invalid(f"the model has no {verb[:40]!r}; it has 'predict' and 'classify'")

    for verb, endpoint, options in (
        ("predict", v1_predict, V1_PREDICT),
        ("classify", v1_classify, V1_CLASSIFY),
    ):
        add_route(app, "POST", f"/v1/models/mnist:{verb}", endpoint, **options)
        for path in models.PATHS:
            add_route(app, "POST", f"{path}:{verb}", endpoint, include_in_schema=False)
    for path in models.PATHS:
        add_route(app, "POST", f"{path}:{{verb}}", v1_other, include_in_schema=False)
    models.mount(app, versions)


async def _answer(
    request: Request,
    settings: Settings,
    versions: Versions,
    metrics: Metrics,
    read: Callable[[bytes, Limits], tuple[Images, _Build]],
) -> Reply:
    asked = asked_version(request, versions)
    deadline = request.deadline(settings.deadline_s)
    body = await request.content(settings.max_body_bytes)
    start = perf_counter()
    limits = Limits(images=settings.max_images, body_bytes=settings.max_body_bytes)
    large = len(body) > SMALL_JSON_BYTES
    images, build = await when_large(large, read, body, limits, until=deadline)
    request.decode_s = perf_counter() - start
    served = await versions.version(asked, deadline)
    ran = await served.batcher.infer(images, deadline, alone=request.alone)
    request.queue_s, request.infer_s = ran.queue_s, ran.infer_s
    start = perf_counter()
    rows = len(images)
    answer = await when_large(rows > SMALL_ROWS, build, ran.probabilities)
    metrics.predicted(ran.each(digits))
    served.statistics.answered(rows, request, start)
    # The form has no place for the version that answered.
    return Reply(answer, headers=((b"x-model-version", served.version.encode()),))


def _read_predict(body: bytes, limits: Limits) -> tuple[Images, _Build]:
    images, row_form = from_predict(body, limits)
    return images, partial(predict, row_form=row_form)


def _read_classify(body: bytes, limits: Limits) -> tuple[Images, _Build]:
    return from_classify(body, limits), classify
