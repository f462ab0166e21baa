"""``POST /read``: reads a whole number, one or several lines of digits, in a picture."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from fastapi import FastAPI

from service.decode import Images
from service.decode.content import parse_content_type
from service.decode.picture import Pictures
from service.errors import Invalid, UnsupportedType
from service.exchange import Exchange, Reply
from service.lifecycle import Lifecycle
from service.loader import Loaded
from service.lookers import Lookers
from service.metrics import Metrics
from service.offload import SMALL_JSON_BYTES, when_large
from service.picture.number import Digit, number_in
from service.picture.open import open_picture
from service.routes.predict import decode, limits_of
from service.routing import add_route
from service.runtime import Probabilities
from service.schemas.operations import READ
from service.settings import Settings

READS = "image/*, multipart/form-data with one file, application/json with one picture"
_HOLD_PICTURES = "image/", "multipart/form-data", "application/json"
SURE_ENOUGH = 0.5
"""The share of the sureness asked of a digit alone: among digits, a stroke is one sooner."""


def mount(
    app: FastAPI, settings: Settings, lifecycle: Lifecycle, metrics: Metrics, lookers: Lookers
) -> None:
    """Adds the route to ``app``."""
    limits = limits_of(settings)

    async def read(exchange: Exchange) -> Reply:
        """Reads a whole number in one picture, in reading order, lines from top to bottom."""
        version = exchange.parameters("version").get("version")
        deadline = exchange.deadline(settings.deadline_s)
        body = await exchange.content(settings.max_body_bytes)
        start = perf_counter()
        content_type = exchange.field(b"content-type")
        if not parse_content_type(content_type)[0].startswith(_HOLD_PICTURES):
            raise UnsupportedType(f"a number is read in a picture; send one of {READS}")
        large = len(body) > SMALL_JSON_BYTES
        decoded = await when_large(large, decode, content_type, body, limits, until=deadline)
        if not isinstance(decoded, Pictures):
            raise UnsupportedType(f"a number is read in a picture; send one of {READS}")
        if len(decoded.bodies) != 1:
            raise Invalid(f"{len(decoded.bodies)} pictures; a number is read in one")
        picture = decoded.bodies[0]
        number = await lookers.run(lambda: number_in(open_picture(picture, limits)), deadline)
        exchange.decode_s = perf_counter() - start
        served = await lifecycle.version(version, deadline)
        probabilities = await _told(exchange, served, number.images, deadline)
        start = perf_counter()
        pieces = await lookers.run(lambda: number.cut(probabilities), deadline)
        exchange.decode_s += perf_counter() - start
        further = pieces.images[len(number.images) :]
        told = np.concatenate([probabilities, await _told(exchange, served, further, deadline)])
        least = SURE_ENOUGH * served.least_confidence
        lines = await lookers.run(lambda: pieces.read(told, least), deadline)
        metrics.predicted([digit.digit for line in lines for digit in line])
        return Reply.json(answer(lines))

    add_route(app, "POST", "/read", read, **READ)


async def _told(
    exchange: Exchange, served: Loaded, images: Images, deadline: float
) -> Probabilities:
    """What the model says of images (n, 28, 28), n >= 0; the time counts as the exchange's."""
    if len(images) == 0:
        return np.zeros((0, 10), np.float32)
    ran = await served.batcher.infer(images, deadline)
    exchange.queue_s += ran.queue_s
    exchange.infer_s += ran.infer_s
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
