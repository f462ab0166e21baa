"""``/v2``: the Open Inference Protocol, with Triton's extensions that :data:`EXTENSIONS` names.

There is one repository, so its name in a path is ignored; ``load`` reads its champion file now.
Sources: ``inference_rest.md`` of kserve/open-inference-protocol; ``extension_statistics.md``,
``extension_model_repository.md`` and ``model_config.proto`` of triton-inference-server/server.
"""

from functools import partial
from typing import Any

from service import __version__
from service.answer.predictions import LEAST_BYTES, inference
from service.api.operations import check_ready
from service.api.pipeline import Pipeline
from service.api.request import Reply, Request, compressed
from service.api.routing import at_each, check_model, endpoints, needs
from service.api.schemas.bodies import OCTETS, V2_CHANGE, V2_INDEX, V2_INFER
from service.api.schemas.parameters import BinaryLength, Current, Timed
from service.background.large_work import SMALL_BYTES, SMALL_JSON_BYTES
from service.decode.json_images import parse_json
from service.decode.v2 import from_infer, parameters_of, typed_field
from service.decode.validation import name_of, refuse
from service.errors import NotFound, Unavailable
from service.models.repository import NAME
from service.models.versions import Versions
from service.models.workers import joint_statistics
from service.types import INPUT, OUTPUT

_BODY_BYTES = 1 << 20
_MODEL = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
"""The champion, and a version by its number."""
_REPOSITORIES = ("/v2/repository", "/v2/repository/{repository}")
_ABSENT_AT = (
    *("/v2/logging", "/v2/trace/setting", "/v2/models/{model}/trace/setting"),
    *("/v2/{kind}sharedmemory/{action}", "/v2/{kind}sharedmemory/region/{region}/{action}"),
)
ABSENT = {
    "sharedmemory": "shared memory is not supported; send tensors in messages",
    "trace": "trace settings are not supported; the service follows a `traceparent`",
    "logging": "the log is set when the service starts: MNIST_LOG_LEVEL, MNIST_LOG_FORMAT",
}
"""What the service says about extensions of Triton that it does not have."""
EXTENSIONS = (
    *("binary_tensor_data", "classification", "model_configuration", "model_repository"),
    "statistics",
)
router = endpoints("v2", "predict")
of_model = partial(at_each, router, _MODEL, methods=["GET"])
of_repository = partial(at_each, router, _REPOSITORIES, methods=["POST"])
change = partial(of_repository, openapi_extra=V2_CHANGE, dependencies=needs("admin"))


@at_each(
    router,
    _MODEL,
    "/infer",
    methods=["POST"],
    responses={200: {"description": "The answer.", "content": OCTETS}},
    openapi_extra=V2_INFER,
)
async def v2_infer(
    request: Timed,
    model: str,
    version: str | None = None,
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
        reply.media_type = b"application/octet-stream"
        reply.headers = ((b"inference-header-content-length", b"%d" % json_bytes),)
    return reply if len(answer) < LEAST_BYTES else await compressed(request, reply)


@router.get("/v2/health/live", dependencies=needs(None))
async def v2_live(request: Current) -> Reply:
    """The process answers."""
    return Reply.json({"live": True})


@router.get("/v2/health/ready", dependencies=needs(None))
async def v2_ready(request: Current) -> Reply:
    """The champion is loaded, checked and warmed, and the service is not draining."""
    check_ready(request.core)
    return Reply.json({"ready": True})


@at_each(router, ("/v2", "/v2/"), methods=["GET"])
async def v2_server(request: Current) -> Reply:
    """The server's name, version and protocol extensions."""
    return Reply.json({"name": "mnist-serve", "version": __version__, "extensions": EXTENSIONS})


@router.get("/v2/models")
async def v2_models(request: Current) -> Reply:
    """The names of the models."""
    return Reply.json({"models": [NAME]})


@at_each(router, _ABSENT_AT, methods=["GET"])
@at_each(router, _ABSENT_AT, methods=["POST"])
async def v2_absent(
    request: Current, model: str = "", kind: str = "", region: str = "", action: str = ""
) -> Reply:
    """Extensions of Triton that the service does not have, and what to use instead."""
    raise NotFound(next(why for part, why in ABSENT.items() if part in request.path))


@router.get("/v2/models/stats")
async def v2_all_statistics(request: Current) -> Reply:
    """What the loaded versions have done since they were loaded."""
    return Reply.json({"model_stats": joint_statistics(None, await request.core.versions.views())})


@of_model()
async def v2_metadata(request: Current, model: str, version: str | None = None) -> Reply:
    """The model's versions and tensors, which are the same for each version."""
    versions = await _checked(request, model, version)
    listing = await versions.listing()
    return Reply.json(
        {
            "name": NAME,
            "versions": [entry["version"] for entry in listing["versions"]],
            "platform": "onnx_onnxv1",
            "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, 28, 28]}],
            "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, 10]}],
        }
    )


@of_model("/ready")
async def v2_model_ready(request: Current, model: str, version: str | None = None) -> Reply:
    """The version is loaded; without one: the champion is, and the service is not draining."""
    versions = await _checked(request, model, version)
    check_ready(request.core)
    state = None if version is None else await versions.state(version)
    if state is not None and state["state"] == "failed":
        raise Unavailable(f"version {version}: {state['reason']}")
    return Reply.json({"name": NAME, "ready": True})


@of_model("/config")
async def v2_config(request: Current, model: str, version: str | None = None) -> Reply:
    """The fields of Triton's configuration of a model that this service has a value for."""
    await _checked(request, model, version)
    image = {"name": INPUT, "data_type": "TYPE_UINT8", "format": "FORMAT_NONE", "dims": [28, 28]}
    return Reply.json(
        {
            "name": NAME,
            "platform": "onnxruntime_onnx",
            "backend": "onnxruntime",
            "max_batch_size": request.core.settings.max_images,
            "input": [image],
            "output": [{"name": OUTPUT, "data_type": "TYPE_FP32", "dims": [10]}],
            "dynamic_batching": {"max_queue_delay_microseconds": 0, "preserve_ordering": True},
        }
    )


@of_model("/stats")
async def v2_statistics(request: Current, model: str, version: str | None = None) -> Reply:
    """What the versions have done since they were loaded; zeros if they are not."""
    versions = await _checked(request, model, version)
    return Reply.json({"model_stats": joint_statistics(version, await versions.views())})


async def _checked(request: Request, model: str, version: str | None) -> Versions:
    """The versions; NotFound if the model, or the version if one is named, does not exist."""
    check_model(model)
    if version is not None:
        await request.core.versions.state(version)
    return request.core.versions


@of_repository("/index", openapi_extra=V2_INDEX)
async def v2_index(request: Current, repository: str = "") -> Reply:
    """Every version: `READY` if it answers, else `UNAVAILABLE` with the reason."""
    only_ready = (await _content(request)).get("ready", False)
    if type(only_ready) is not bool:
        raise refuse("ready", f"is {name_of(only_ready)}; true or false is expected")
    entries = []
    for state in (await request.core.versions.listing())["versions"]:
        failed = state["state"] == "failed"  # any other is loaded when a request asks for it
        entry = {"name": NAME, "version": state["version"], "state": "READY", "reason": ""}
        if failed:
            entry |= {"state": "UNAVAILABLE", "reason": state["reason"] or "failed"}
        if not (failed and only_ready):
            entries.append(entry)
    return Reply.json(entries)


@change("/models/{model}/load")
async def v2_load(request: Current, model: str, repository: str = "") -> Reply:
    """Loads the champion of the repository now; the version that serves goes on until then."""
    check_model(model)
    for name in parameters_of(await _content(request), "request"):
        if name == "config" or name.startswith("file:"):
            raise refuse(name[:40], "would overwrite files, which no request does here")
        if name == "version":
            raise refuse(name, "is set by the champion file, which load reads")
    await request.core.versions.take_up_champion()
    request.version = request.core.versions.champion.version
    return Reply.json({})


@change("/models/{model}/unload")
async def v2_unload(request: Current, model: str, repository: str = "") -> Reply:
    """Unloads the version that the parameter `version` names, unless it is the champion."""
    check_model(model)
    asked = parameters_of(await _content(request), "request")
    version = typed_field(asked, "version", {str}, "a string")
    versions = request.core.versions
    request.version = versions.champion.version if version is None else version
    await versions.unload(request.version)
    return Reply.json({})


async def _content(request: Request) -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty object."""
    body = await request.content(_BODY_BYTES)
    content = parse_json(body) if body else {}
    if not isinstance(content, dict):
        raise refuse("body", f"is {name_of(content)}; an object is expected")
    return content
