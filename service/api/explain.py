"""``POST /explain`` and ``/layers``: the reasons of one answer, also by ``:explain`` of ``/v1``."""

from __future__ import annotations

from typing import Any

from service.api.pipeline import Pipeline
from service.api.predict import read_images
from service.api.request import Reply
from service.api.routing import endpoints
from service.api.schemas.answers import Explanation, FeatureMaps
from service.api.schemas.bodies import PREDICT_BODY
from service.api.schemas.parameters import AgainstQuery, Timed, VersionQuery
from service.background.large_work import when_large
from service.errors import Unavailable
from service.inference.batch import Result
from service.inference.runtime import RuntimeLoadError
from service.reasons.explain import EXPLAIN_COST, explanation
from service.reasons.layers import Layers

router = endpoints("digits", "predict")


@router.post("/explain", response_model=Explanation, openapi_extra=PREDICT_BODY)
async def explain(
    request: Timed, version: VersionQuery = None, against: AgainstQuery = None
) -> Reply:
    """Gives the reasons of one answer, found by asking the version about changed images.

    The body is one of `/predict` with one image.
    """
    pipeline = Pipeline(request)
    images, _ = await read_images(request, pipeline, only_one=True)
    await pipeline.choose(version)
    result = await pipeline.infer(images)
    found = (await explanations(pipeline, result, against))[0]
    answer = {"model": "mnist", "version": pipeline.served.version, **found}
    reply = await pipeline.answer(1, Reply.json, answer)
    pipeline.follow_up(result)
    return reply


@router.post("/layers", response_model=FeatureMaps, openapi_extra=PREDICT_BODY)
async def layers(request: Timed, version: VersionQuery = None) -> Reply:
    """Shows what each convolution of a version makes of one image, which counts as no answer."""
    pipeline = Pipeline(request)
    images, _ = await read_images(request, pipeline, only_one=True)
    await pipeline.choose(version)
    core, served, until = request.core, pipeline.served, pipeline.deadline

    async def load() -> Layers:
        model = await core.versions.read(core.versions.repository.read_model, served.version)
        return await when_large(True, Layers, model, caller=request.caller)

    try:
        asked = await core.layers.get(served.card["sha256"], load, until)
        found = await when_large(True, asked.ask, images[0], until=until, caller=request.caller)
    except RuntimeLoadError as error:
        raise Unavailable(f"version {served.version} cannot show its layers: {error}") from None
    return Reply.json({"model": "mnist", "version": served.version, **found})


async def explanations(
    pipeline: Pipeline, result: Result, other: int | None
) -> list[dict[str, Any]]:
    """The reasons of each answer, one after the other. Raises as ``infer``."""
    training = await pipeline.core.training_images.get(pipeline.deadline)
    pairs = zip(result.images, result.probabilities, strict=True)
    questions = (explanation(*pair, other, training) for pair in pairs)
    return await pipeline.follow(questions, EXPLAIN_COST * result.rows)
