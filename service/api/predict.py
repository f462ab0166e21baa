"""``POST /predict``: classifies images, in whichever of the formats they come."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from fastapi import FastAPI

from service.answer.predictions import members, predictions
from service.answer.quality import doubts
from service.api.request import Reply, Request
from service.api.routing import add_route
from service.api.schemas.operations import PREDICT
from service.background.large_work import SMALL_BYTES, SMALL_JSON_BYTES, SMALL_ROWS, when_large
from service.background.picture_pool import PicturePool
from service.decode import json_images, npy, raw
from service.decode.content import parse_content_type
from service.decode.form import from_form
from service.decode.pictures import Pictures
from service.errors import Invalid, UnsupportedType
from service.imaging.pipeline import Seen
from service.inference.batch import Ran
from service.inference.batch_result import digits
from service.models.versions import Loaded, Versions
from service.observe.metrics import Metrics
from service.settings import Settings
from service.types import Images, Limits

READS = (
    "application/json, application/octet-stream, application/x-npy, image/*, multipart/form-data"
)


def mount(
    app: FastAPI, settings: Settings, versions: Versions, metrics: Metrics, pictures: PicturePool
) -> None:
    """Adds the route to ``app``."""
    limits = limits_of(settings)

    async def predict(request: Request) -> Reply:
        """Classifies images of digits.

        The Content-Type decides how the body is read; it may be gzip or deflate. The answer keeps
        the images' order.
        """
        parameters = request.parameters("version", "include")
        include = parameters.get("include")
        if include is not None and include != "seen":
            raise Invalid(f"include={include[:40]!r} is not read here; include=seen is")
        deadline = request.deadline(settings.deadline_s)
        body = await request.content(settings.max_body_bytes)
        start = perf_counter()
        content_type = request.field(b"content-type")
        small = SMALL_JSON_BYTES if body.startswith(b"{") else SMALL_BYTES
        large = len(body) > small
        decoded = await when_large(large, decode, content_type, body, limits, until=deadline)
        seen: list[Seen] | None = None
        if isinstance(decoded, Pictures):
            seen = await pictures.look(decoded, limits, deadline)
            images: Images = np.array([one.image for one in seen])
        else:
            images = decoded
        request.decode_s = perf_counter() - start
        served = await versions.version(parameters.get("version"), deadline)
        ran = await served.batcher.infer(images, deadline, alone=request.alone)
        request.queue_s, request.infer_s = ran.queue_s, ran.infer_s
        start = perf_counter()
        rows = len(images)
        told = None if include is None else await pictures.show(images, seen)
        answer, read, found = await when_large(rows > SMALL_ROWS, _answer, served, ran, seen, told)
        metrics.predicted(read)
        metrics.doubted(found)
        served.statistics.answered(rows, request, start)
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
        return json_images.from_json(body, limits)
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
