"""``POST /evaluate``: scores labelled images with the champion or another version."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import perf_counter

import numpy as np
from fastapi import APIRouter

from service.answer.scores import score
from service.api.request import Reply, Request
from service.api.routing import OwnRoute
from service.api.schemas.answers import Evaluation
from service.api.schemas.bodies import EVALUATE_BODY
from service.api.schemas.parameters import DatasetQuery, Timed, VersionQuery
from service.api.schemas.responses import BODY, problems
from service.background.large_work import give_way, when_large
from service.decode import idx, labelled
from service.decode.content import parse_content_type
from service.errors import DeadlineExceeded, Fault, Invalid, NotFound, UnsupportedType
from service.inference.batch import Batcher, Result
from service.settings import Settings
from service.types import Images, Labels, Limits, Probabilities

READS = "application/json, multipart/form-data"
MNIST_TEST = "mnist-test"
_SLICE_EXECUTIONS = 4
"""Batches of ``batch_rows`` queued at a time, so that an evaluation never fills the queue."""
router = APIRouter(route_class=OwnRoute, tags=["digits"])


@router.post(
    "/evaluate",
    response_model=Evaluation,
    responses=problems(400, 422, *BODY),
    openapi_extra={"requestBody": EVALUATE_BODY},
)
async def evaluate(
    request: Timed, version: VersionQuery = None, dataset: DatasetQuery = None
) -> Reply:
    """Scores labelled images.

    Either `?dataset=mnist-test`, the MNIST test set that the service holds, or a body with
    images and labels.
    """
    settings = request.core.settings
    deadline = request.deadline(settings.evaluate_deadline_s)
    body = await request.content(settings.max_evaluate_body_bytes)
    start = perf_counter()
    if dataset is not None:
        if body:
            raise Invalid("with ?dataset there is no body; send either")
        work = when_large(True, load_dataset, dataset, settings.data, until=deadline)
    else:
        content_type = request.field(b"content-type")
        work = when_large(True, decode, content_type, body, _limits(settings), until=deadline)
    images, labels = await work
    request.decode_s = perf_counter() - start
    served = await request.core.versions.version(version, deadline)
    rows = _SLICE_EXECUTIONS * settings.batch_rows
    probabilities = await _infer(request, served.batcher, images, deadline, rows)
    start = perf_counter()
    reply = await when_large(True, _answer, served.version, probabilities, labels)
    now = perf_counter()
    served.batcher.statistics.answered(
        len(images),
        total_s=now - request.started,
        decode_s=request.decode_s,
        queue_s=request.queue_s,
        infer_s=request.infer_s,
        answer_s=now - start,
    )
    return reply


def decode(content_type: str | None, body: bytes, limits: Limits) -> tuple[Images, Labels]:
    """The labelled images in a body of the given Content-Type; raises as ``/predict``'s does."""
    media_type, parameters = parse_content_type(content_type)
    if media_type == "application/json":
        return labelled.from_json(body, limits)
    if media_type == "multipart/form-data":
        return labelled.from_form(body, parameters.get("boundary", ""), limits)
    sent = f"the Content-Type {media_type[:60]!r}" if media_type else "a body without Content-Type"
    raise UnsupportedType(
        f"the service does not read {sent}; send one of {READS}, or name a data set: "
        f"?dataset={MNIST_TEST}"
    )


def load_dataset(name: str, folder: Path) -> tuple[Images, Labels]:
    """The images (n, 28, 28) uint8 and labels (n,) of a data set that the service holds.

    Raises :class:`NotFound` for another name, and if its files cannot be read.
    """
    if name != MNIST_TEST:
        raise NotFound(f"there is no data set {name[:40]!r}; there is {MNIST_TEST}")
    arrays = []
    for stem in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        try:
            arrays.append(idx.read_idx((folder / f"{stem}.gz").read_bytes()))
        except (OSError, Fault) as error:
            raise NotFound(f"this service cannot read the data set {name}: {error}") from error
    images, labels = arrays
    return images, labels.astype(np.int64)


def _limits(settings: Settings) -> Limits:
    return Limits(
        images=settings.max_evaluate_images,
        body_bytes=settings.max_evaluate_body_bytes,
        picture_pixels=settings.max_picture_pixels,
        picture_side=settings.max_picture_side,
    )


def _answer(version: str, probabilities: Probabilities, labels: Labels) -> Reply:
    scores = score(probabilities, labels)
    give_way()
    return Reply.json({"model": "mnist", "version": version, **scores.as_dict()})


async def _infer(
    request: Request, batcher: Batcher, images: Images, deadline: float, rows: int
) -> Probabilities:
    """Classifies the images slice by slice; each slice waits while the queue is full."""
    parts = []
    for first in range(0, len(images), rows):
        result = await _infer_when_room(batcher, images[first : first + rows], deadline)
        request.queue_s += result.queue_s
        request.infer_s += result.infer_s
        parts.append(result.probabilities)
    return np.concatenate(parts)


async def _infer_when_room(batcher: Batcher, images: Images, deadline: float) -> Result:
    while not batcher.has_room(len(images)):
        if perf_counter() > deadline:
            raise DeadlineExceeded("the deadline passed before every image was scored")
        await asyncio.sleep(0.05)
    return await batcher.infer(images, deadline)
