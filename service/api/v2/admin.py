"""``/v2`` but for ``infer``: the server, its health, the model's versions, and their repository.

The repository's champion file decides which version serves; no request writes a file. ``load``
makes the service read that file now. There is one repository, so its name in a path is ignored.

Sources: ``inference_rest.md`` of kserve/open-inference-protocol; ``extension_statistics.md``,
``extension_model_repository.md`` and ``extension_model_configuration.md`` of
triton-inference-server/server, whose configuration is ``model_config.proto`` as JSON.
"""

from functools import partial
from typing import Any

from fastapi import APIRouter

from service import __version__
from service.api.operations import check_ready
from service.api.request import Reply, Request
from service.api.routing import EndpointRoute, at_each, check_model, needs
from service.api.schemas import protocols as shapes
from service.api.schemas.bodies import V2_CHANGE, V2_INDEX
from service.api.schemas.parameters import Current, ModelPath, VersionPath
from service.api.schemas.responses import errors
from service.api.v2.infer import PATHS
from service.decode.json_images import parse_json
from service.decode.v2 import parameters_of, typed_field
from service.decode.validation import name_of, refuse
from service.errors import NotFound, Unavailable
from service.models.repository import NAME
from service.models.versions import Versions
from service.models.workers import joint_statistics
from service.settings import Settings
from service.types import INPUT, OUTPUT

_BODY_BYTES = 1 << 20
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
router = APIRouter(route_class=EndpointRoute, tags=["v2"], dependencies=needs("predict"))
at_each_model = partial(at_each, router, PATHS, methods=["GET"], responses=errors(404, 503))
at_each_repository = partial(
    at_each, router, _REPOSITORIES, methods=["POST"], responses=errors(404, 413, 503)
)
at_each_change = partial(
    at_each_repository,
    response_model=dict[str, Any],
    openapi_extra=V2_CHANGE,
    dependencies=needs("admin"),
)


@router.get(
    "/v2/health/live", response_model=shapes.Live, responses=errors(), dependencies=needs(None)
)
async def v2_live(request: Current) -> Reply:
    """The process answers."""
    return Reply.json({"live": True})


@router.get(
    "/v2/health/ready", response_model=shapes.Ready, responses=errors(503), dependencies=needs(None)
)
async def v2_ready(request: Current) -> Reply:
    """The champion is loaded, checked and warmed, and the service is not draining."""
    check_ready(request.core)
    return Reply.json({"ready": True})


@router.get("/v2", response_model=shapes.ServerMetadata, responses=errors())
@router.get("/v2/", response_model=shapes.ServerMetadata, responses=errors())
async def v2_server(request: Current) -> Reply:
    """The server's name, version and protocol extensions."""
    return Reply.json({"name": "mnist-serve", "version": __version__, "extensions": EXTENSIONS})


@router.get("/v2/models", response_model=shapes.ModelNames, responses=errors())
async def v2_models(request: Current) -> Reply:
    """The names of the models."""
    return Reply.json({"models": [NAME]})


@at_each(router, _ABSENT_AT, methods=["GET"], response_model=None, responses=errors(404))
@at_each(router, _ABSENT_AT, methods=["POST"], response_model=None, responses=errors(404))
async def v2_absent(
    request: Current,
    model: ModelPath | None,
    kind: str | None,
    region: str | None,
    action: str | None,
) -> Reply:
    """Extensions of Triton that the service does not have, and what to use instead."""
    raise NotFound(next(why for part, why in ABSENT.items() if part in request.path))


@router.get("/v2/models/stats", response_model=shapes.ModelStatistics, responses=errors())
async def v2_all_statistics(request: Current) -> Reply:
    """What the loaded versions have done since they were loaded."""
    return Reply.json({"model_stats": joint_statistics(None, await request.core.versions.views())})


@at_each_model(response_model=shapes.ModelMetadata)
async def v2_metadata(request: Current, model: ModelPath, version: VersionPath | None) -> Reply:
    """The model's versions and tensors, which are the same for each version."""
    versions = request.core.versions
    await _check(versions, model, version)
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


@at_each_model("/ready", response_model=shapes.ModelReady)
async def v2_model_ready(request: Current, model: ModelPath, version: VersionPath | None) -> Reply:
    """The version is loaded; without one: the champion is, and the service is not draining."""
    versions = request.core.versions
    await _check(versions, model, version)
    check_ready(request.core)
    state = None if version is None else await versions.state(version)
    if state is not None and state["state"] == "failed":
        raise Unavailable(f"version {version}: {state['reason']}")
    return Reply.json({"name": NAME, "ready": True})


@at_each_model("/config", response_model=dict[str, Any])
async def v2_config(request: Current, model: ModelPath, version: VersionPath | None) -> Reply:
    """The model's configuration, in the form of Triton's."""
    versions = request.core.versions
    await _check(versions, model, version)
    provider = versions.champion.runtime.report.active
    return Reply.json(configuration(request.core.settings, provider))


@at_each_model("/stats", response_model=shapes.ModelStatistics)
async def v2_statistics(request: Current, model: ModelPath, version: VersionPath | None) -> Reply:
    """What the versions have done since they were loaded; zeros if they are not."""
    versions = request.core.versions
    await _check(versions, model, version)
    return Reply.json({"model_stats": joint_statistics(version, await versions.views())})


async def _check(versions: Versions, model: str, version: str | None) -> None:
    """Raises :class:`NotFound` if the model, or the version if there is one, does not exist."""
    check_model(model)
    if version is not None:
        await versions.state(version)


def configuration(settings: Settings, provider: str) -> dict[str, Any]:
    """The fields of the model's configuration that this service has a value for."""
    kind = "KIND_GPU" if provider == "cuda" else "KIND_CPU"
    return {
        "name": NAME,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "default_model_filename": "model.onnx",
        "max_batch_size": settings.max_images,
        "input": [
            {"name": INPUT, "data_type": "TYPE_UINT8", "format": "FORMAT_NONE", "dims": [28, 28]}
        ],
        "output": [{"name": OUTPUT, "data_type": "TYPE_FP32", "dims": [10]}],
        "dynamic_batching": {
            "preferred_batch_size": [settings.batch_rows],
            "max_queue_delay_microseconds": 0,
            "preserve_ordering": True,
            "default_queue_policy": {
                "timeout_action": "REJECT",
                "default_timeout_microseconds": round(settings.deadline_s * 1e6),
                "allow_timeout_override": True,
                "max_queue_size": settings.queue_rows,
            },
        },
        "instance_group": [{"name": NAME, "kind": kind, "count": settings.workers}],
    }


@at_each_repository("/index", response_model=list[shapes.IndexEntry], openapi_extra=V2_INDEX)
async def v2_index(request: Current, repository: str | None) -> Reply:
    """Every version: `READY` if it is loaded, else `UNAVAILABLE` with the reason."""
    only_ready = (await _content(request)).get("ready", False)
    if type(only_ready) is not bool:
        raise refuse("ready", f"is {name_of(only_ready)}; true or false is expected")
    entries = [_entry(state) for state in (await request.core.versions.listing())["versions"]]
    return Reply.json([e for e in entries if e["state"] == "READY" or not only_ready])


@at_each_change(tail="/models/{model}/load")
async def v2_load(request: Current, repository: str | None, model: ModelPath) -> Reply:
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


@at_each_change(tail="/models/{model}/unload")
async def v2_unload(request: Current, repository: str | None, model: ModelPath) -> Reply:
    """Unloads the version that the parameter `version` names, unless it is the champion."""
    check_model(model)
    asked = parameters_of(await _content(request), "request")
    version = typed_field(asked, "version", str, "a string", "request")
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


def _entry(state: dict[str, Any]) -> dict[str, str]:
    """The entry of a version in the repository's index."""
    ready = state["state"] != "failed"  # the service loads it when a request asks for it
    return {
        "name": NAME,
        "version": state["version"],
        "state": "READY" if ready else "UNAVAILABLE",
        "reason": "" if ready else state["reason"] or "failed",
    }
