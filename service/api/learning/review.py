"""``/review``: shows a person the images whose label would teach most, and takes the labels."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter

from service.api.learning.feedback import KEPT, json_body, kept, labelled
from service.api.request import Reply
from service.api.routing import OwnRoute, needs
from service.api.schemas.bodies import REVIEW_BODY
from service.api.schemas.learning import Label, Review
from service.api.schemas.parameters import CountQuery, Current
from service.api.schemas.responses import problems
from service.decode.feedback import digit_of
from service.decode.json_images import parse_object
from service.decode.validation import refuse
from service.errors import NotFound
from service.imaging.preview import encode_png
from service.types import SIDE

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from service.store.review import Item

_COUNT = re.compile("[1-9][0-9]?|100")
router = APIRouter(route_class=OwnRoute, tags=["learning"], dependencies=needs("review"))


@router.get("/review", response_model=Review, responses=problems(404, 422, 503))
async def review(request: Current, count: CountQuery = "20") -> Reply:
    """The images whose label would teach most, first those on which two versions disagree.

    For five minutes nobody else gets them.
    """
    from service.store.review import next_items

    if not _COUNT.fullmatch(count):
        raise refuse("count", f"{count[:40]!r} is no number from 1 to 100")
    work = partial(next_items, caller=request.caller, count=int(count), now=time())
    waiting, items = await kept(request).run(work)
    return Reply.json({"waiting": waiting, "items": [_shown(item) for item in items]})


@router.post(
    "/review/{image}",
    response_model=Label,
    status_code=201,
    responses=KEPT,
    openapi_extra={"requestBody": REVIEW_BODY},
)
async def label(request: Current, image: str) -> Reply:
    """Keeps a reviewer's label. Its `id` is that of `DELETE /feedback/{id}`, which undoes it."""
    from service.store.labels import is_kept, put_label

    store = kept(request)
    digit = digit_of(parse_object(await json_body(request), "digit"))

    def work(connection: Connection) -> tuple[str, bool]:
        if not is_kept(connection, image):
            raise NotFound(f"no image with the id {image[:64]!r} is kept")
        return put_label(connection, image, digit, request.caller, "review")

    return labelled(request, digit, await store.run(work), "review")


def _shown(item: Item) -> dict[str, Any]:
    png = encode_png(np.frombuffer(item["pixels"], np.uint8).reshape(SIDE, SIDE))
    facts = {name: item[name] for name in ("id", "digit", "confidence", "version", "reason")}
    when = item["at"] and f"{datetime.fromtimestamp(item['at'], UTC):%Y-%m-%dT%H:%M:%SZ}"
    return facts | {"png": base64.b64encode(png).decode(), "when": when}
