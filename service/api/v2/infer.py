"""``POST /v2/models/mnist/infer``: classifies images that come as tensors."""

from fastapi import APIRouter

from service.answer.compress import LEAST_BYTES
from service.answer.predictions import inference
from service.api.pipeline import Pipeline
from service.api.request import Reply, compressed
from service.api.routing import EndpointRoute, at_each, check_model, needs
from service.api.schemas.bodies import OCTETS_BODY, V2_INFER
from service.api.schemas.parameters import BinaryLength, ModelPath, Timed, VersionPath
from service.api.schemas.protocols import InferResponse
from service.api.schemas.responses import BODY, errors
from service.background.large_work import SMALL_BYTES, SMALL_JSON_BYTES
from service.decode.v2 import from_infer

OCTETS = b"application/octet-stream"
PATHS = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
"""The champion, and a version by its number."""
router = APIRouter(route_class=EndpointRoute, tags=["v2"], dependencies=needs("predict"))


@at_each(
    router,
    PATHS,
    "/infer",
    methods=["POST"],
    response_model=InferResponse,
    responses=errors(*BODY) | {200: {"description": "The answer.", "content": OCTETS_BODY}},
    openapi_extra=V2_INFER,
)
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
    await pipeline.choose(version)
    result = await pipeline.infer(asked.images)
    answer, json_bytes = await pipeline.answer(
        result.rows, inference, pipeline.served.version, result.probabilities, asked
    )
    pipeline.follow_up(result)
    reply = Reply(answer)
    if json_bytes is not None:
        reply.media_type = OCTETS
        reply.headers = ((b"inference-header-content-length", b"%d" % json_bytes),)
    return reply if len(answer) < LEAST_BYTES else await compressed(request, reply)
