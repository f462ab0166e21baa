"""``POST /predict``: classifies images, in whichever of the formats they come."""

from __future__ import annotations

import asyncio
from time import perf_counter

from fastapi import FastAPI

from service.answer import predictions
from service.decode import Limits, npy, picture, pixels, raw
from service.decode.content import parse_content_type
from service.decode.form import from_form
from service.doubt import doubts
from service.errors import UnsupportedType
from service.http import Exchange, Reply, add_route
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.runtime import Images
from service.schemas import PREDICT
from service.settings import Settings

READS = (
    "application/json, application/octet-stream, application/x-npy, image/*, multipart/form-data"
)
_OFF_LOOP_BYTES = 32_768
"""Bodies up to this size are decoded on the event loop, within some 200 microseconds."""


def mount(app: FastAPI, settings: Settings, lifecycle: Lifecycle, metrics: Metrics) -> None:
    """Adds the route to ``app``."""
    limits = Limits(
        images=settings.max_images,
        body_bytes=settings.max_body_bytes,
        picture_pixels=settings.max_picture_pixels,
        picture_side=settings.max_picture_side,
    )

    async def predict(exchange: Exchange) -> Reply:
        """Classifies images of digits.

        The Content-Type decides how the body is read. The answer keeps the images' order.
        """
        version = exchange.parameters("version").get("version")
        served = await lifecycle.version(version)
        deadline = exchange.deadline(settings.deadline_s)
        body = await exchange.content(settings.max_body_bytes)
        start = perf_counter()
        content_type = exchange.field(b"content-type")
        if len(body) <= _OFF_LOOP_BYTES:
            images = decode(content_type, body, limits)
        else:
            images = await asyncio.to_thread(decode, content_type, body, limits)
        exchange.decode_s = perf_counter() - start
        ran = await served.batcher.infer(images, deadline)
        exchange.queue_s, exchange.infer_s = ran.queue_s, ran.infer_s
        start = perf_counter()
        found = doubts(images)
        answer, digits = predictions(served.version, ran.probabilities, found)
        metrics.predicted(digits)
        for reasons in found:
            for reason in reasons:
                metrics.doubted(reason)
        served.statistics.answered(len(images), exchange, start)
        return Reply(answer)

    add_route(app, "POST", "/predict", predict, **PREDICT)


def decode(content_type: str | None, body: bytes, limits: Limits) -> Images:
    """The images (n, 28, 28) uint8 in a body of the given Content-Type.

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
        return picture.from_picture(body, limits)[None]
    given = (
        f"Content-Type {media_type[:60]!r} is" if media_type else "a body without Content-Type is"
    )
    raise UnsupportedType(f"{given} not read here; send one of {READS}")
