"""``POST /v2/models/mnist/infer``: classifies images that come as tensors."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter

from service.answer import compress
from service.answer.v2 import inference
from service.api.pipeline import Pipeline
from service.api.request import Headers, Reply, Request
from service.api.routing import EndpointRoute, check_model, without
from service.api.schemas.parameters import BinaryLength, ModelPath, Timed, VersionPath
from service.api.schemas.protocols import OCTETS_BODY, V2_INFER, InferResponse
from service.api.schemas.responses import BODY, errors
from service.background.large_work import SMALL_BYTES, SMALL_JSON_BYTES
from service.decode.v2 import from_infer

OCTETS = b"application/octet-stream"
router = APIRouter(route_class=EndpointRoute, tags=["v2"])


async def v2_infer(
    request: Timed,
    model: ModelPath,
    version: VersionPath | None,
    inference_header_content_length: BinaryLength = None,
) -> Reply:
    """Classifies images: tensor `image`, UINT8 [n, 28, 28], to `probabilities`, FP32 [n, 10].

    With `Inference-Header-Content-Length` tensors may follow the JSON in binary; with the value 0
    the body is one image of 784 bytes.
    """
    check_model(model)
    core, pipeline = request.core, Pipeline(request)
    body = await request.content(core.settings.max_body_bytes)
    header_length = request.field(b"inference-header-content-length")
    small = len(body) <= (SMALL_JSON_BYTES if header_length is None else SMALL_BYTES)
    asked = await pipeline.decode(small, from_infer, body, header_length, core.limits)
    if asked.timeout_s is not None:
        pipeline.deadline = min(pipeline.deadline, request.started + asked.timeout_s)
    result = await pipeline.infer(asked.images, version)
    answer, json_bytes = await pipeline.answer(
        result, inference, pipeline.served.version, result.probabilities, asked
    )
    return await _compressed(request, _reply(answer, json_bytes))


_OPTIONS: dict[str, Any] = {
    "methods": ["POST"],
    "response_model": InferResponse,
    "responses": errors(*BODY) | {200: {"description": "The answer.", "content": OCTETS_BODY}},
    "openapi_extra": V2_INFER,
}
router.add_api_route("/v2/models/{model}/infer", without(v2_infer, "version"), **_OPTIONS)
router.add_api_route("/v2/models/{model}/versions/{version}/infer", v2_infer, **_OPTIONS)


def _reply(answer: bytes, json_bytes: int | None) -> Reply:
    if json_bytes is None:
        return Reply(answer)
    length = (b"inference-header-content-length", b"%d" % json_bytes)
    return Reply(answer, media_type=OCTETS, headers=(length,))


async def _compressed(request: Request, reply: Reply) -> Reply:
    """The reply, compressed if the caller accepts that and the body is large enough."""
    if len(reply.body) < compress.LEAST_BYTES:
        return reply
    encoding = compress.choose(request.field(b"accept-encoding"))
    if encoding is None:
        return reply
    reply.body = await asyncio.to_thread(compress.compress, reply.body, encoding)
    added: Headers = ((b"content-encoding", encoding.encode()), (b"vary", b"accept-encoding"))
    reply.headers = (*reply.headers, *added)
    return reply
