"""``POST /read``: reads a whole number, one or several lines of digits, in a picture."""

from functools import partial

import numpy as np

from service.answer.predictions import answer
from service.answer.quality import SURE_ENOUGH
from service.api.pipeline import Pipeline
from service.api.predict import decode
from service.api.request import Reply
from service.api.routing import endpoints
from service.api.schemas.answers import NumberRead
from service.api.schemas.bodies import READ_BODY
from service.api.schemas.parameters import ReadIncludeQuery, Timed, VersionQuery
from service.background.large_work import SMALL_JSON_BYTES
from service.decode.content import parse_content_type
from service.decode.pictures import Pictures
from service.errors import Invalid, UnsupportedType
from service.imaging.load import open_picture
from service.numbers.number import segment
from service.types import Images, Probabilities

READS = "image/*, multipart/form-data with one file or application/json with one picture"
_HOLD_PICTURES = "image/", "multipart/form-data", "application/json"
router = endpoints("digits", "predict")


@router.post("/read", response_model=NumberRead, openapi_extra=READ_BODY)
async def read(
    request: Timed, version: VersionQuery = None, include: ReadIncludeQuery = None
) -> Reply:
    """Reads a whole number in one picture, in reading order, lines from top to bottom."""
    if include not in (None, "probabilities"):
        raise Invalid(f"include={include[:40]!r} is unknown; probabilities is known")
    core, pipeline = request.core, Pipeline(request)
    body = await request.content(core.settings.max_body_bytes)
    content_type = request.field(b"content-type")
    decoded: Images | Pictures | None = None
    if parse_content_type(content_type)[0].startswith(_HOLD_PICTURES):
        small = len(body) <= SMALL_JSON_BYTES
        decoded = await pipeline.decode(small, decode, content_type, body, core.limits)
    if not isinstance(decoded, Pictures):
        raise UnsupportedType(f"a number is read in a picture; send {READS}")
    if len(decoded.bodies) != 1:
        raise Invalid(f"{len(decoded.bodies)} pictures; a number is read in one")
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
    return Reply.json(answer(lines, include is not None))


async def _classified(pipeline: Pipeline, images: Images) -> Probabilities:
    """The probabilities (n, 10) of images (n, 28, 28), n >= 0."""
    if len(images) == 0:
        return np.zeros((0, 10), np.float32)
    return (await pipeline.infer(images)).probabilities
