"""``POST /v2/models/mnist/infer``: classifies images given as tensors."""

from __future__ import annotations

import asyncio
from time import perf_counter

from fastapi import FastAPI

from service.answer import compress
from service.answer.v2 import inference
from service.api.model_name import check_model
from service.api.request import Headers, Reply, Request
from service.api.routing import add_route
from service.api.schemas.protocols import V2_INFER
from service.background.large_work import SMALL_BYTES, SMALL_JSON_BYTES, SMALL_ROWS, when_large
from service.decode.v2 import from_infer
from service.inference.batch_result import digits
from service.models.versions import Versions
from service.observe.metrics import Metrics
from service.settings import Settings
from service.types import Limits

OCTETS = b"application/octet-stream"


def mount(app: FastAPI, settings: Settings, versions: Versions, metrics: Metrics) -> None:
    """Adds the routes to ``app``."""
    limits = Limits(images=settings.max_images, body_bytes=settings.max_body_bytes)

    async def v2_infer(request: Request) -> Reply:
        """Classifies images: tensor `image`, UINT8 [n, 28, 28], to `probabilities`, FP32 [n, 10].

        With `Inference-Header-Content-Length` tensors may come in binary after the JSON; with the
        value 0 the body is one image of 784 bytes.
        """
        check_model(request)
        deadline = request.deadline(settings.deadline_s)
        body = await request.content(settings.max_body_bytes)
        start = perf_counter()
        header_length = request.field(b"inference-header-content-length")
        small = SMALL_JSON_BYTES if header_length is None else SMALL_BYTES
        large = len(body) > small
        asked = await when_large(large, from_infer, body, header_length, limits, until=deadline)
        request.decode_s = perf_counter() - start
        if asked.timeout_s is not None:
            deadline = min(deadline, request.started + asked.timeout_s)
        served = await versions.version(request.path_params.get("version"), deadline)
        ran = await served.batcher.infer(asked.images, deadline, alone=request.alone)
        request.queue_s, request.infer_s = ran.queue_s, ran.infer_s
        start = perf_counter()
        rows = len(asked.images)
        answer, json_bytes = await when_large(
            rows > SMALL_ROWS, inference, served.version, ran.probabilities, asked
        )
        reply = await _compressed(request, _reply(answer, json_bytes))
        metrics.predicted(ran.each(digits))
        served.statistics.answered(rows, request, start)
        return reply

    add_route(app, "POST", "/v2/models/mnist/infer", v2_infer, **V2_INFER)
    add_route(app, "POST", "/v2/models/{model}/infer", v2_infer, include_in_schema=False)
    add_route(
        app,
        "POST",
        "/v2/models/{model}/versions/{version}/infer",
        v2_infer,
        include_in_schema=False,
    )


def _reply(answer: bytes, json_bytes: int | None) -> Reply:
    if json_bytes is None:
        return Reply(answer)
    length = (b"inference-header-content-length", b"%d" % json_bytes)
    return Reply(answer, media_type=OCTETS, headers=(length,))


async def _compressed(request: Request, reply: Reply) -> Reply:
    """The reply, its body compressed where the caller asks for that and it is worth the time."""
    if len(reply.body) < compress.LEAST_BYTES:
        return reply
    encoding = compress.choose(request.field(b"accept-encoding"))
    if encoding is None:
        return reply
    reply.body = await asyncio.to_thread(compress.compress, reply.body, encoding)
    added: Headers = ((b"content-encoding", encoding.encode()), (b"vary", b"accept-encoding"))
    reply.headers = (*reply.headers, *added)
    return reply
