"""``/predict`` and ``/read`` classify images and numbers; ``/explain`` and ``/layers`` say why."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from service.answer.predictions import answer as number_answer
from service.answer.predictions import members, predictions
from service.answer.quality import SURE_ENOUGH, doubts
from service.api.pipeline import Pipeline
from service.api.request import Reply, Request, unsupported
from service.api.routing import endpoints
from service.api.schemas.answers import Explanation, NumberRead, Predictions
from service.api.schemas.bodies import PREDICT_BODY, READ_BODY
from service.api.schemas.parameters import (
    AgainstQuery,
    IncludeQuery,
    ReadIncludeQuery,
    Timed,
    VersionQuery,
)
from service.background.large_work import SMALL_BYTES, SMALL_JSON_BYTES, when_large
from service.decode import arrays, json_images
from service.decode.content import from_form, parse_content_type
from service.decode.pictures import Pictures, picture_doubts, preprocess_in_pool, previews
from service.decode.validation import refuse
from service.errors import Unavailable, UnsupportedType
from service.imaging.load import open_picture
from service.imaging.pipeline import Seen
from service.inference.batch import Result
from service.inference.runtime import RuntimeLoadError
from service.models.loader import Loaded
from service.numbers.number import segment
from service.reasons.explain import EXPLAIN_COST, WHY_ROWS, check_explained, explanation, why
from service.reasons.layers import Layers
from service.reasons.training_images import load_index
from service.types import Images, Limits, Probabilities

_READERS: dict[str, Callable[[bytes, Limits], Images | Pictures]] = {
    "application/json": json_images.from_json,
    "application/octet-stream": arrays.from_bytes,
    "application/x-npy": arrays.from_npy,
}
READS = ", ".join([*_READERS, "image/* or multipart/form-data"])
READS_NUMBERS = "image/*, multipart/form-data with one file or application/json with one picture"
_HOLD_PICTURES = "image/", "multipart/form-data", "application/json"
router = endpoints("digits", "predict")


@router.post("/predict", response_model=Predictions, openapi_extra=PREDICT_BODY)
async def predict(
    request: Timed, version: VersionQuery = None, include: IncludeQuery = None
) -> Reply:
    """Classifies images of digits.

    The Content-Type decides how the body is read; the body may be compressed with gzip or deflate.
    The predictions have the order of the images.
    """
    wanted = include.split(",") if include else []
    pipeline = Pipeline(request)
    images, seen = await read_images(request, pipeline)
    if "why" in wanted:
        check_explained(len(images))
    await pipeline.choose(version)
    result = await pipeline.infer(images)
    further = await _further(wanted, pipeline, result, seen) if wanted else None
    answer, found = await pipeline.answer(
        result.rows, _answer, pipeline.served, result, seen, further
    )
    pipeline.follow_up(result, found)
    return Reply(answer)


@router.post("/read", response_model=NumberRead, openapi_extra=READ_BODY)
async def read(
    request: Timed, version: VersionQuery = None, include: ReadIncludeQuery = None
) -> Reply:
    """Reads a whole number in one picture, in reading order, lines from top to bottom."""
    core, pipeline = request.core, Pipeline(request)
    body = await request.content(core.settings.max_body_bytes)
    content_type = request.field(b"content-type")
    decoded: Images | Pictures | None = None
    if parse_content_type(content_type)[0].startswith(_HOLD_PICTURES):
        small = len(body) <= SMALL_JSON_BYTES
        decoded = await pipeline.decode(small, decode, content_type, body, core.limits)
    if not isinstance(decoded, Pictures):
        raise UnsupportedType(f"a number is read in a picture; send {READS_NUMBERS}")
    if len(decoded.bodies) != 1:
        raise refuse("body", f"{len(decoded.bodies)} pictures; a number is read in one")
    picture, deadline = decoded.bodies[0], pipeline.deadline
    run = partial(core.pictures.run, request.caller, until=deadline)
    number = await pipeline.timed(run(lambda: segment(open_picture(picture, core.limits))))
    await pipeline.choose(version)
    whole = await _classified(pipeline, number.images)
    pieces = await pipeline.timed(run(lambda: number.cut(whole)))
    further = await _classified(pipeline, pieces.images[len(number.images) :])
    probabilities = np.concatenate([whole, further])
    least = SURE_ENOUGH * pipeline.served.least_confidence
    lines = await run(lambda: pieces.read(probabilities, least))
    core.metrics.predicted([digit.digit for line in lines for digit in line])
    return Reply.json(number_answer(lines, include is not None))


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


@router.post("/layers", response_model=dict[str, Any], openapi_extra=PREDICT_BODY)
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
    core = pipeline.core
    load = partial(load_index, core.settings.data)
    training = await core.training_images.get("", load, pipeline.deadline)
    pairs = zip(result.images, result.probabilities, strict=True)
    questions = (explanation(*pair, other, training) for pair in pairs)
    return await pipeline.follow(questions, EXPLAIN_COST * result.rows)


async def read_images(
    request: Request, pipeline: Pipeline, *, only_one: bool = False
) -> tuple[Images, list[Seen] | None]:
    """The images (n, 28, 28) in the body, and what was seen in each if they came as pictures."""
    core = request.core
    body = await request.content(core.settings.max_body_bytes)
    small = len(body) <= (SMALL_JSON_BYTES if body.startswith(b"{") else SMALL_BYTES)
    content_type = request.field(b"content-type")
    decoded = await pipeline.decode(small, decode, content_type, body, core.limits)
    count = len(decoded.bodies if isinstance(decoded, Pictures) else decoded)
    if only_one and count != 1:
        raise refuse("body", f"{count} images; one is explained at a time")
    if not isinstance(decoded, Pictures):
        return decoded, None
    pipeline.charge(count)
    looking = preprocess_in_pool(
        decoded, core.limits, core.pictures, request.caller, pipeline.deadline
    )
    seen = await pipeline.timed(looking)
    return np.array([one.image for one in seen]), seen


def decode(content_type: str | None, body: bytes, limits: Limits) -> Images | Pictures:
    """The images (n, 28, 28), or the picture files, in a body of the given Content-Type."""
    media_type, parameters = parse_content_type(content_type)
    read = _READERS.get(media_type)
    if read is not None:
        return read(body, limits)
    if media_type == "multipart/form-data":
        return from_form(body, parameters.get("boundary", ""), limits)
    if media_type.startswith("image/"):
        return Pictures([body])
    raise unsupported(media_type, READS)


async def _further(
    wanted: list[str], pipeline: Pipeline, result: Result, seen: list[Seen] | None
) -> list[dict[str, Any]]:
    """The members that ``?include`` adds to each image's prediction."""
    further: list[dict[str, Any]] = [{} for _ in range(result.rows)]
    if "seen" in wanted:
        shown = await previews(result.images, seen, pipeline.core.pictures, pipeline.caller)
        further = [{"seen": one} for one in shown]
    if "why" in wanted:
        pairs = zip(result.images, result.probabilities, strict=True)
        reasons = await pipeline.follow((why(*pair) for pair in pairs), WHY_ROWS * result.rows)
        for one, reason in zip(further, reasons, strict=True):
            one["why"] = reason
    return further


def _answer(
    served: Loaded, result: Result, seen: list[Seen] | None, further: list[dict[str, Any]] | None
) -> tuple[bytes, list[tuple[str, ...]]]:
    """The body of the answer, and the doubts of each image."""
    if seen is None or all(one.polarity == "as given" for one in seen):
        found = result.each(served.doubts)
    else:
        known = picture_doubts(seen)
        found = doubts(result.images, result.probabilities, served.least_confidence, known)
    return predictions(served.version, result.each(members), found, further), found


async def _classified(pipeline: Pipeline, images: Images) -> Probabilities:
    """The probabilities (n, 10) of images (n, 28, 28), n >= 0."""
    if len(images) == 0:
        return np.zeros((0, 10), np.float32)
    return (await pipeline.infer(images)).probabilities
