"""``POST /v2/models/mnist/infer``: classifies images given as tensors."""

from __future__ import annotations

import asyncio
from time import perf_counter

from fastapi import FastAPI

from service import compress
from service.answer_v2 import inference
from service.decode import Limits
from service.decode.infer import from_infer
from service.exchange import Exchange, Headers, Reply
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.offload import SMALL_BYTES, SMALL_JSON_BYTES, SMALL_ROWS, when_large
from service.routes.model_name import check_model
from service.routing import add_route
from service.run import digits
from service.schemas.protocols import V2_INFER
from service.settings import Settings

OCTETS = b"application/octet-stream"


def mount(app: FastAPI, settings: Settings, lifecycle: Lifecycle, metrics: Metrics) -> None:
    """Adds the routes to ``app``."""
    limits = Limits(images=settings.max_images, body_bytes=settings.max_body_bytes)

    async def v2_infer(exchange: Exchange) -> Reply:
        """Classifies images: tensor `image`, UINT8 [n, 28, 28], to `probabilities`, FP32 [n, 10].

        With `Inference-Header-Content-Length` tensors may come in binary after the JSON; with the
        value 0 the body is one image of 784 bytes.
        """
        check_model(exchange)
        deadline = exchange.deadline(settings.deadline_s)
        body = await exchange.content(settings.max_body_bytes)
        start = perf_counter()
        header_length = exchange.field(b"inference-header-content-length")
        small = SMALL_JSON_BYTES if header_length is None else SMALL_BYTES
        large = len(body) > small
        request = await when_large(large, from_infer, body, header_length, limits, until=deadline)
        exchange.decode_s = perf_counter() - start
        if request.timeout_s is not None:
            deadline = min(deadline, exchange.started + request.timeout_s)
        served = await lifecycle.version(exchange.path_params.get("version"), deadline)
        ran = await served.batcher.infer(request.images, deadline, alone=exchange.alone)
        exchange.queue_s, exchange.infer_s = ran.queue_s, ran.infer_s
        start = perf_counter()
        rows = len(request.images)
        answer, json_bytes = await when_large(
            rows > SMALL_ROWS, inference, served.version, ran.probabilities, request
        )
        reply = await _compressed(exchange, _reply(answer, json_bytes))
        metrics.predicted(ran.each(digits))
        served.statistics.answered(rows, exchange, start)
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


async def _compressed(exchange: Exchange, reply: Reply) -> Reply:
    """The reply, its body compressed where the caller asks for that and it is worth the time."""
    if len(reply.body) < compress.LEAST_BYTES:
        return reply
    encoding = compress.choose(exchange.field(b"accept-encoding"))
    if encoding is None:
        return reply
    reply.body = await asyncio.to_thread(compress.compress, reply.body, encoding)
    added: Headers = ((b"content-encoding", encoding.encode()), (b"vary", b"accept-encoding"))
    reply.headers = (*reply.headers, *added)
    return reply
