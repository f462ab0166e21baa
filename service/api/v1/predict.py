"""``/v1``: TensorFlow Serving's predict and classify.

Bodies are read as JSON with any Content-Type, since its clients send any. Source:
``g3doc/api_rest.md`` of tensorflow/serving.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastapi import APIRouter

from service.answer.v1 import classify, predict
from service.api.pipeline import Pipeline
from service.api.request import Reply, Request
from service.api.routing import EndpointRoute
from service.api.schemas.parameters import LabelPath, ModelPath, Timed, VersionPath
from service.api.schemas.protocols import V1_CLASSIFY, V1_PREDICT, Classified, Predicted
from service.api.schemas.responses import BODY, errors
from service.api.v1.models import asked_version, on_each_path
from service.background.large_work import SMALL_JSON_BYTES
from service.decode.v1 import from_classify, from_predict
from service.errors import Invalid
from service.types import Images, Limits, Probabilities

_Build = Callable[[Probabilities], bytes]
"""Makes the body of the answer."""
router = APIRouter(route_class=EndpointRoute, tags=["v1"])


async def v1_predict(
    request: Timed, model: ModelPath, version: VersionPath | None, label: LabelPath | None
) -> Reply:
    """Classifies images in row form (`instances`) or in column form (`inputs`)."""
    return await _answer(request, asked_version(request, model, version, label), _read_predict)


async def v1_classify(
    request: Timed, model: ModelPath, version: VersionPath | None, label: LabelPath | None
) -> Reply:
    """For each example the labels "0" to "9" with their probabilities."""
    return await _answer(request, asked_version(request, model, version, label), _read_classify)


async def v1_other(
    request: Timed,
    model: ModelPath,
    version: VersionPath | None,
    label: LabelPath | None,
    verb: str,
) -> Reply:
    """Rejects a method that the model has no signature for, such as the protocol's `regress`."""
    asked_version(request, model, version, label)
    raise Invalid(f"the model has no {verb[:40]!r}; it has 'predict' and 'classify'")


_OPTIONS = {"methods": ["POST"], "responses": errors(*BODY)}
on_each_path(
    router, ":predict", v1_predict, response_model=Predicted, openapi_extra=V1_PREDICT, **_OPTIONS
)
on_each_path(
    router,
    ":classify",
    v1_classify,
    response_model=Classified,
    openapi_extra=V1_CLASSIFY,
    **_OPTIONS,
)
on_each_path(router, ":{verb}", v1_other, response_model=None, **_OPTIONS)


async def _answer(
    request: Request,
    version: str | None,
    read: Callable[[bytes, Limits], tuple[Images, _Build]],
) -> Reply:
    core, pipeline = request.core, Pipeline(request)
    body = await request.content(core.settings.max_body_bytes)
    small = len(body) <= SMALL_JSON_BYTES
    images, build = await pipeline.decode(small, read, body, core.limits)
    result = await pipeline.infer(images, version)
    answer = await pipeline.answer(result, build, result.probabilities)
    # The protocol's answer has no place for the version.
    return Reply(answer, headers=((b"x-model-version", pipeline.served.version.encode()),))


def _read_predict(body: bytes, limits: Limits) -> tuple[Images, _Build]:
    images, row_form = from_predict(body, limits)
    return images, partial(predict, row_form=row_form)


def _read_classify(body: bytes, limits: Limits) -> tuple[Images, _Build]:
    return from_classify(body, limits), classify
