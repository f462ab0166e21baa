"""``POST /read``: reads a whole number, one or several lines of digits, in a picture."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from fastapi import FastAPI

from service.api.predict import decode, limits_of
from service.api.request import Reply, Request
from service.api.routing import add_route
from service.api.schemas.operations import READ
from service.background.large_work import SMALL_JSON_BYTES, when_large
from service.background.picture_pool import PicturePool
from service.decode.content import parse_content_type
from service.decode.pictures import Pictures
from service.errors import Invalid, UnsupportedType
from service.imaging.load import open_picture
from service.models.loader import Loaded
from service.models.versions import Versions
from service.numbers.number import Digit, number_in
from service.observe.metrics import Metrics
from service.settings import Settings
from service.types import Images, Probabilities

READS = "image/*, multipart/form-data with one file, application/json with one picture"
_HOLD_PICTURES = "image/", "multipart/form-data", "application/json"
SURE_ENOUGH = 0.5
"""The share of the sureness asked of a digit alone: among digits, a stroke is one sooner."""


def mount(
    app: FastAPI, settings: Settings, versions: Versions, metrics: Metrics, pictures: PicturePool
) -> None:
    """Adds the route to ``app``."""
    limits = limits_of(settings)

    async def read(request: Request) -> Reply:
        """Reads a whole number in one picture, in reading order, lines from top to bottom."""
        version = request.parameters("version").get("version")
        deadline = request.deadline(settings.deadline_s)
        body = await request.content(settings.max_body_bytes)
        start = perf_counter()
        content_type = request.field(b"content-type")
        if not parse_content_type(content_type)[0].startswith(_HOLD_PICTURES):
            raise UnsupportedType(f"a number is read in a picture; send one of {READS}")
        large = len(body) > SMALL_JSON_BYTES
        decoded = await when_large(large, decode, content_type, body, limits, until=deadline)
        if not isinstance(decoded, Pictures):
            raise UnsupportedType(f"a number is read in a picture; send one of {READS}")
        if len(decoded.bodies) != 1:
            raise Invalid(f"{len(decoded.bodies)} pictures; a number is read in one")
        picture = decoded.bodies[0]
        number = await pictures.run(lambda: number_in(open_picture(picture, limits)), deadline)
        request.decode_s = perf_counter() - start
        served = await versions.version(version, deadline)
        probabilities = await _told(request, served, number.images, deadline)
        start = perf_counter()
        pieces = await pictures.run(lambda: number.cut(probabilities), deadline)
        request.decode_s += perf_counter() - start
        further = pieces.images[len(number.images) :]
        told = np.concatenate([probabilities, await _told(request, served, further, deadline)])
        least = SURE_ENOUGH * served.least_confidence
        lines = await pictures.run(lambda: pieces.read(told, least), deadline)
        metrics.predicted([digit.digit for line in lines for digit in line])
        return Reply.json(answer(lines))

    add_route(app, "POST", "/read", read, **READ)


async def _told(request: Request, served: Loaded, images: Images, deadline: float) -> Probabilities:
    """What the model says of images (n, 28, 28), n >= 0; the time counts as the request's."""
    if len(images) == 0:
        return np.zeros((0, 10), np.float32)
    ran = await served.batcher.infer(images, deadline)
    request.queue_s += ran.queue_s
    request.infer_s += ran.infer_s
    return ran.probabilities


def answer(lines: list[list[Digit]]) -> dict[str, object]:
    """The answer's JSON for lines of digits."""
    return {
        "text": "\n".join("".join(str(digit.digit) for digit in line) for line in lines),
        "digits": [
            {
                "digit": digit.digit,
                "confidence": np.float32(digit.confidence),
                "box": list(digit.box),
            }
            for line in lines
            for digit in line
        ],
    }
