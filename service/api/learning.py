"""``/feedback`` and ``/review``: what people say that images show, and the export of it."""

from __future__ import annotations

import asyncio
import base64
import io
from datetime import UTC, datetime
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import Response

from service.api.pipeline import Pipeline
from service.api.request import Reply, Request, unsupported
from service.api.routing import endpoints, needs
from service.api.schemas.answers import Label, Review
from service.api.schemas.bodies import FEEDBACK_BODY, OCTETS, REVIEW_BODY
from service.api.schemas.parameters import CountQuery, Current, Timed
from service.background.large_work import SMALL_JSON_BYTES
from service.decode.content import parse_content_type
from service.decode.json_images import parse_object
from service.decode.labelled import digit_of, from_feedback
from service.decode.pictures import Pictures, preprocess_in_pool
from service.errors import Forbidden, NotFound, Unauthorized
from service.imaging.load import encode_png
from service.settings import Settings
from service.store.capture import WAIT_S, is_drawn
from service.store.store import Store, why_none
from service.types import SIDE

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from service.store.labels import Item

_TRIES = 6
_NAMED = (b"content-disposition", b'attachment; filename="feedback.npz"')
_LABELS: dict[str, Any] = {
    "response_model": Label,
    "status_code": 201,
    "responses": {200: {"model": Label, "description": "It was kept before."}},
}
router = endpoints("learning", "predict")


@router.post("/feedback", openapi_extra=FEEDBACK_BODY, **_LABELS)
async def feedback(request: Timed) -> Reply:
    """Keeps what an image shows: of an answer that was captured, or of an image in the body.

    It is on disk once this answers. The same again gets the same id with 200; another digit from
    the same caller replaces the one before.
    """
    from service.store.labels import answered_image, put_label
    from service.store.tables import keep_images

    core, caller, store = request.core, request.caller, _kept(request)
    pipeline = Pipeline(request)
    body = await _json_body(request)
    small = len(body) <= SMALL_JSON_BYTES
    digit, request_id, position, images = await pipeline.decode(
        small, from_feedback, body, core.limits
    )
    if isinstance(images, Pictures):
        looking = preprocess_in_pool(images, core.limits, core.pictures, caller, pipeline.deadline)
        images = (await pipeline.timed(looking))[0].image

    def work(connection: Connection) -> tuple[str, bool]:
        if images is not None:
            (image,) = keep_images(connection, [images.tobytes()])
        elif found := answered_image(connection, request_id, position, caller):
            image = found
        else:
            why = "no answer to you with this id is kept, or is no longer"
            in_doubt = " (MNIST_CAPTURE keeps those in doubt)" * (settings.capture == "doubtful")
            raise NotFound(never or why + in_doubt)
        return put_label(connection, image, digit, caller, "feedback", most=settings.capture_rows)

    settings, never, why = core.settings, _why_never(core.settings, request_id), ""
    for tries_left in reversed(range(1 if never or images is not None else _TRIES)):
        try:
            return _labelled(request, digit, await store.run(work), "feedback")
        except NotFound as fault:
            why = fault.detail
        if tries_left:  # the answer may be on its way to the store
            await asyncio.sleep(WAIT_S)
    raise NotFound(f"{why}; send the image instead of the id")


@router.delete("/feedback/{label}", response_model=Label)
async def take_back(request: Current, label: str) -> Reply:
    """Deletes a label of the caller's, and with the scope `review` anybody's.

    The image goes with it, unless other labels or answers are about it.
    """
    from service.store.labels import take_back

    owner, fields = None, request.fields
    try:
        sent = fields.get(b"authorization"), fields.get(b"x-api-key")
        request.core.access.check("review", *sent, request.port)
    except (Forbidden, Unauthorized):
        owner = request.caller
    found = await _kept(request).run(lambda connection: take_back(connection, label, owner))
    if found is None:
        raise NotFound(f"you gave no label with the id {label[:64]!r}")
    return Reply.json({"id": found.id, "digit": found.digit})


@router.get(
    "/feedback/export",
    response_class=Response,
    responses={200: {"description": "The file.", "content": OCTETS}},
    dependencies=needs("review"),
)
async def export(request: Current) -> Reply:
    """All images whose labels agree, as an `.npz` file.

    `images` (n, 28, 28), `labels` (n,) from 0 to 9 or -1 for no digit, and `ids` (n,), those of
    the labels.
    """

    def work(connection: Connection) -> bytes:
        from service.store.labels import labelled

        found, file = labelled(connection), io.BytesIO()
        ids = np.array(found.labels, "U32")
        np.savez_compressed(file, images=found.images, labels=found.digits, ids=ids)
        return file.getvalue()

    content = await _kept(request).run(work)
    return Reply(content, media_type=b"application/octet-stream", headers=(_NAMED,))


@router.get("/review", response_model=Review, dependencies=needs("review"))
async def review(request: Current, count: CountQuery = 20) -> Reply:
    """The images whose label would teach most, first those on which two versions disagree.

    For five minutes nobody else gets them.
    """
    from service.store.labels import next_items

    work = partial(next_items, caller=request.caller, count=count, now=time())
    waiting, items = await _kept(request).run(work)
    return Reply.json({"waiting": waiting, "items": [_shown(item) for item in items]})


@router.post("/review/{image}", openapi_extra=REVIEW_BODY, dependencies=needs("review"), **_LABELS)
async def label(request: Current, image: str) -> Reply:
    """Keeps a reviewer's label. Its `id` is that of `DELETE /feedback/{id}`, which undoes it."""
    from service.store.labels import is_kept, put_label

    store = _kept(request)
    digit = digit_of(parse_object(await _json_body(request), "digit"))

    def work(connection: Connection) -> tuple[str, bool]:
        if not is_kept(connection, image):
            raise NotFound(f"no image with the id {image[:64]!r} is kept")
        return put_label(connection, image, digit, request.caller, "review")

    return _labelled(request, digit, await store.run(work), "review")


def _kept(request: Request) -> Store:
    """The store. Raises :class:`NotFound` if the service has none."""
    store = request.core.store
    if store is None:
        raise NotFound(f"this service keeps nothing: {why_none(request.core.settings)}")
    return store


def _why_never(settings: Settings, request_id: str) -> str:
    """Why no answer with this id is kept by these settings; empty if one may be."""
    share = settings.capture
    if share == "off":
        return "this service keeps no answers (MNIST_CAPTURE is off)"
    if isinstance(share, float) and not is_drawn(request_id.encode(), share):
        return f"no answer with this id is kept (MNIST_CAPTURE is {share:g}, drawn by the id)"
    return ""


async def _json_body(request: Request) -> bytes:
    """The body. Raises UnsupportedType unless it is declared as JSON, TooLarge and Malformed."""
    media_type = parse_content_type(request.field(b"content-type"))[0]
    if media_type != "application/json":
        raise unsupported(media_type, "application/json")
    return await request.content(request.core.settings.max_body_bytes)


def _labelled(request: Request, digit: int | None, put: tuple[str, bool], source: str) -> Reply:
    """The answer to a label that is kept; ``put`` has its id, and whether it is new."""
    if put[1]:
        request.core.metrics.count("labels", source)
    return Reply.json({"id": put[0], "digit": digit}, 201 if put[1] else 200)


def _shown(item: Item) -> dict[str, Any]:
    png = encode_png(np.frombuffer(item["pixels"], np.uint8).reshape(SIDE, SIDE))
    facts = {name: item[name] for name in ("id", "digit", "confidence", "version", "reason")}
    when = item["at"] and f"{datetime.fromtimestamp(item['at'], UTC):%Y-%m-%dT%H:%M:%SZ}"
    return facts | {"png": base64.b64encode(png).decode(), "when": when}
