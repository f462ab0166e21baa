"""``POST /evaluate``: scores labelled images; and the pictures of the test set that it scores."""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter

import numpy as np
from fastapi import Response

from service.answer.scores import MOST_MISTAKES, least_sure, score
from service.api.pipeline import Pipeline
from service.api.request import Reply, unsupported
from service.api.routing import PNG, endpoints
from service.api.schemas.answers import Evaluation
from service.api.schemas.bodies import EVALUATE_BODY
from service.api.schemas.parameters import Current, DatasetQuery, MistakesQuery, Timed, VersionQuery
from service.background.large_work import give_way
from service.decode import arrays, labelled
from service.decode.content import parse_content_type
from service.decode.validation import refuse
from service.errors import DeadlineExceeded, Fault, NotFound
from service.imaging.load import encode_png
from service.types import Images, Labels, Limits, Probabilities

MNIST_TEST = "mnist-test"
READS = f"application/json, multipart/form-data, or name a data set: ?dataset={MNIST_TEST}"
_SLICE_EXECUTIONS = 4
"""Batches of ``batch_rows`` queued at a time, so that an evaluation never fills the queue."""
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_CACHE = (b"cache-control", b"public, max-age=3600")
router = endpoints("digits", "evaluate")


@router.post("/evaluate", response_model=Evaluation, openapi_extra=EVALUATE_BODY)
async def evaluate(
    request: Timed,
    version: VersionQuery = None,
    dataset: DatasetQuery = None,
    mistakes: MistakesQuery = MOST_MISTAKES,
) -> Reply:
    """Scores labelled images.

    Either `?dataset=mnist-test`, the MNIST test set that the service holds, or a body with
    images and labels.
    """
    settings = request.core.settings
    pipeline = Pipeline(request, settings.evaluate_deadline_s)
    body = await request.content(settings.max_evaluate_body_bytes)
    if dataset is not None:
        if body:
            raise refuse("dataset", "with it there is no body; send either")
        return await _of_dataset(pipeline, version, dataset, mistakes)
    count, size = settings.max_evaluate_images, settings.max_evaluate_body_bytes
    limits = replace(request.core.limits, images=count, body_bytes=size, charge=request.charge)
    content_type = request.field(b"content-type")
    images, labels = await pipeline.decode(False, decode, content_type, body, limits)
    pipeline.charge(len(images))
    await pipeline.choose(version, canary=False)
    return await _scored(pipeline, images, labels, mistakes)


async def _of_dataset(pipeline: Pipeline, version: str | None, dataset: str, most: int) -> Reply:
    """The score on a data set, worked out once for each version: neither of the two changes."""
    if dataset != MNIST_TEST:
        raise NotFound(f"there is no data set {dataset[:40]!r}; there is {MNIST_TEST}")
    await pipeline.choose(version, canary=False)
    deadline, served, settings = pipeline.deadline, pipeline.served, pipeline.core.settings

    async def work() -> bytes:
        # For all who wait, so in the time of the setting.
        pipeline.deadline = perf_counter() + settings.evaluate_deadline_s
        images, labels = await pipeline.decode(False, mnist_test, settings.data)
        pipeline.charge(len(images))
        return (await _scored(pipeline, images, labels, most)).body

    key = served.version, served.card.get("sha256"), dataset, most
    return Reply(await pipeline.core.evaluations.get(key, work, deadline))


async def _scored(pipeline: Pipeline, images: Images, labels: Labels, most: int) -> Reply:
    """The scores; each slice of the images waits while the queue is full."""
    rows = _SLICE_EXECUTIONS * pipeline.core.settings.batch_rows
    found = list[Probabilities]()
    for part in (images[first : first + rows] for first in range(0, len(images), rows)):
        while not pipeline.served.batcher.queue.fits(len(part), pipeline.caller):
            if perf_counter() > pipeline.deadline:
                raise DeadlineExceeded("the deadline passed before every image was scored")
            await asyncio.sleep(0.05)
        found.append((await pipeline.infer(part)).probabilities)
    served, probabilities = pipeline.served.version, np.concatenate(found)
    return await pipeline.answer(len(images), _answer, served, probabilities, labels, most)


def decode(content_type: str | None, body: bytes, limits: Limits) -> tuple[Images, Labels]:
    """The labelled images in a body of the given Content-Type; raises as ``/predict``'s does."""
    media_type, parameters = parse_content_type(content_type)
    if media_type == "application/json":
        return labelled.from_json(body, limits)
    if media_type == "multipart/form-data":
        return labelled.from_form(body, parameters.get("boundary", ""), limits)
    raise unsupported(media_type, READS)


@lru_cache(maxsize=1)
def mnist_test(folder: Path) -> tuple[Images, Labels]:
    """The images (n, 28, 28) and labels (n,) of MNIST's test set, 8 MB; or raises NotFound."""
    read = []
    for stem in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        try:
            read.append(arrays.read_idx((folder / f"{stem}.gz").read_bytes()))
        except (OSError, Fault) as error:
            raise NotFound(f"the data set {MNIST_TEST} cannot be read: {error}") from error
    images, labels = read
    return images, labels.astype(np.int64)


@router.get(f"/datasets/{MNIST_TEST}/images/{{index}}.png", response_class=Response, responses=PNG)
async def test_image(request: Current, index: str) -> Reply:
    """One image of the test set, white on black, by the index that `/evaluate` returns."""
    images, _ = await asyncio.to_thread(mnist_test, request.core.settings.data)
    if not _INDEX.fullmatch(index) or int(index) >= len(images):
        raise NotFound(f"{MNIST_TEST} has images 0 to {len(images) - 1}, not {index[:40]!r}")
    return Reply(encode_png(images[int(index)]), media_type=b"image/png", headers=(_CACHE,))


def _answer(version: str, probabilities: Probabilities, labels: Labels, most: int) -> Reply:
    scores = score(probabilities, labels, most)
    give_way()
    right = least_sure(probabilities, labels, most)
    return Reply.json({"model": "mnist", "version": version, **asdict(scores), "least_sure": right})
