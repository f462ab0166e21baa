"""``POST /predict``: classifies images, in whichever of the formats they come."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from fastapi import FastAPI

from service.answer import members, predictions
from service.batch import Ran
from service.decode import Limits, npy, pixels, raw
from service.decode.content import parse_content_type
from service.decode.form import from_form
from service.decode.picture import Pictures
from service.doubt import doubts
from service.errors import Invalid, UnsupportedType
from service.exchange import Exchange, Reply
from service.lifecycle import Lifecycle, Loaded
from service.lookers import Lookers
from service.metrics import Metrics
from service.offload import SMALL_BYTES, SMALL_JSON_BYTES, SMALL_ROWS, when_large
from service.picture.look import Seen
from service.routing import add_route
from service.run import digits
from service.runtime import Images
from service.schemas.operations import PREDICT
from service.settings import Settings

READS = (
    "application/json, application/octet-stream, application/x-npy, image/*, multipart/form-data"
)


def mount(
    app: FastAPI, settings: Settings, lifecycle: Lifecycle, metrics: Metrics, lookers: Lookers
) -> None:
    """Adds the route to ``app``."""
    limits = limits_of(settings)

    async def predict(exchange: Exchange) -> Reply:
        """Classifies images of digits.

        The Content-Type decides how the body is read; it may be gzip or deflate. The answer keeps
        the images' order.
        """
        parameters = exchange.parameters("version", "include")
        include = parameters.get("include")
        if include is not None and include != "seen":
            raise Invalid(f"include={include[:40]!r} is not read here; include=seen is")
        deadline = exchange.deadline(settings.deadline_s)
        body = await exchange.content(settings.max_body_bytes)
        start = perf_counter()
        content_type = exchange.field(b"content-type")
        small = SMALL_JSON_BYTES if body.startswith(b"{") else SMALL_BYTES
        large = len(body) > small
        decoded = await when_large(large, decode, content_type, body, limits, until=deadline)
        seen: list[Seen] | None = None
        if isinstance(decoded, Pictures):
            seen = await lookers.look(decoded, limits, deadline)
            images: Images = np.array([one.image for one in seen])
        else:
            images = decoded
        exchange.decode_s = perf_counter() - start
        served = await lifecycle.version(parameters.get("version"), deadline)
        ran = await served.batcher.infer(images, deadline, alone=exchange.alone)
        exchange.queue_s, exchange.infer_s = ran.queue_s, ran.infer_s
        start = perf_counter()
        rows = len(images)
        told = None if include is None else await lookers.show(images, seen)
        answer, read, found = await when_large(rows > SMALL_ROWS, _answer, served, ran, seen, told)
        metrics.predicted(read)
        metrics.doubted(found)
        served.statistics.answered(rows, exchange, start)
        return Reply(answer)

    add_route(app, "POST", "/predict", predict, **PREDICT)


def limits_of(settings: Settings) -> Limits:
    """How much one request for images or pictures may hold."""
    return Limits(
        images=settings.max_images,
        body_bytes=settings.max_body_bytes,
        picture_pixels=settings.max_picture_pixels,
        picture_side=settings.max_picture_side,
    )


def _answer(
    served: Loaded, ran: Ran, seen: list[Seen] | None, told: list[dict[str, Any]] | None
) -> tuple[bytes, list[int], list[tuple[str, ...]]]:
    """The body, the digit of each image, and the reasons to doubt it."""
    if seen is None or all(one.polarity == "as given" for one in seen):
        found = ran.each(served.doubts)
    else:
        images = ran.run.images[ran.part]
        found = doubts(images, ran.probabilities, served.least_confidence, seen)
    body = predictions(served.version, ran.each(members), found, told)
    return body, ran.each(digits), found


def decode(content_type: str | None, body: bytes, limits: Limits) -> Images | Pictures:
    """The images (n, 28, 28) uint8, or the picture files, in a body of the given Content-Type.

    Raises Malformed, Invalid, TooLarge or UnsupportedType.
    """
    media_type, parameters = parse_content_type(content_type)
    if media_type == "application/json":
        return pixels.from_json(body, limits)
    if media_type == "application/octet-stream":
        return raw.from_bytes(body, limits)
    if media_type == "application/x-npy":
        return npy.from_npy(body, limits)
    if media_type == "multipart/form-data":
        return from_form(body, parameters.get("boundary", ""), limits)
    if media_type.startswith("image/"):
        return Pictures([body])
    given = (
        f"Content-Type {media_type[:60]!r} is" if media_type else "a body without Content-Type is"
    )
    raise UnsupportedType(f"{given} not read here; send one of {READS}")
