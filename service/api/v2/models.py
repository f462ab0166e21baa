"""``/v2/models/...``: the model's tensors, its readiness, and what it has done.

Sources: ``inference_rest.md`` of kserve/open-inference-protocol; ``extension_statistics.md`` and
``extension_model_configuration.md`` of triton-inference-server/server, whose configuration is
``model_config.proto`` as JSON.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from service.api.request import Reply
from service.api.routing import EndpointRoute, check_model, without
from service.api.schemas.parameters import Current, ModelPath, VersionPath
from service.api.schemas.protocols import ModelMetadata, ModelReady, ModelStatistics
from service.api.schemas.responses import errors
from service.errors import Unavailable
from service.models.loader import Loaded
from service.models.repository import NAME
from service.models.versions import Versions
from service.observe.statistics import Statistics
from service.settings import Settings
from service.types import INPUT, OUTPUT

PLATFORM = "onnx_onnxv1"
router = APIRouter(route_class=EndpointRoute, tags=["v2"])


async def v2_metadata(request: Current, model: ModelPath, version: VersionPath | None) -> Reply:
    """The model's versions and tensors."""
    versions = request.core.versions
    await _check(versions, model, version)
    listing = await versions.listing()
    return Reply.json(metadata([entry["version"] for entry in listing["versions"]]))


async def v2_model_ready(request: Current, model: ModelPath, version: VersionPath | None) -> Reply:
    """The version is loaded; without one: the champion is, and the service is not draining."""
    versions = request.core.versions
    await _check(versions, model, version)
    reason = versions.why_not_ready() or await _why_not_loaded(version, versions)
    if reason is not None:
        raise Unavailable(reason, headers=((b"retry-after", b"1"),))
    return Reply.json({"name": NAME, "ready": True})


async def v2_config(request: Current, model: ModelPath, version: VersionPath | None) -> Reply:
    """The model's configuration, in the form of Triton's."""
    versions = request.core.versions
    await _check(versions, model, version)
    provider = versions.champion.runtime.report.active
    return Reply.json(configuration(request.core.settings, provider))


async def v2_statistics(request: Current, model: ModelPath, version: VersionPath | None) -> Reply:
    """What the loaded versions have done in this worker since they were loaded.

    A version that is not loaded has done nothing.
    """
    versions = request.core.versions
    await _check(versions, model, version)
    return Reply.json({"model_stats": statistics(versions.loaded, version)})


@router.get("/v2/models/stats", response_model=ModelStatistics, responses=errors())
async def v2_all_statistics(request: Current) -> Reply:
    """What the loaded versions have done in this worker since they were loaded."""
    return Reply.json({"model_stats": statistics(request.core.versions.loaded, None)})


for _tail, _endpoint, _answer in (
    ("", v2_metadata, ModelMetadata),
    ("/ready", v2_model_ready, ModelReady),
    ("/config", v2_config, dict[str, Any]),
    ("/stats", v2_statistics, ModelStatistics),
):
    _options: dict[str, Any] = {"response_model": _answer, "responses": errors(404, 503)}
    router.add_api_route("/v2/models/{model}" + _tail, without(_endpoint, "version"), **_options)
    router.add_api_route("/v2/models/{model}/versions/{version}" + _tail, _endpoint, **_options)


async def _check(versions: Versions, model: str, version: str | None) -> None:
    """Raises :class:`NotFound` if the model, or the version if there is one, does not exist."""
    check_model(model)
    if version is not None:
        await versions.state(version)


async def _why_not_loaded(version: str | None, versions: Versions) -> str | None:
    if version is None:
        return None
    state = await versions.state(version)
    if state["state"] in {"serving", "loaded"}:
        return None
    reason = state["reason"] or "not loaded; the service loads it when a request asks for it"
    return f"version {version}: {reason}"


def statistics(loaded: list[Loaded], version: str | None) -> list[dict[str, Any]]:
    """The statistics of one version, loaded or not, or of all that are loaded."""
    done = {each.version: each.batcher.statistics for each in loaded}
    if version is not None:
        done = {version: done.get(version, Statistics())}
    return [statistics.as_dict(number) for number, statistics in done.items()]


def metadata(versions: list[str]) -> dict[str, Any]:
    """The metadata of the model, which are the same for each of its versions."""
    return {
        "name": NAME,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, 28, 28]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, 10]}],
    }


def configuration(settings: Settings, provider: str) -> dict[str, Any]:
    """The configuration of the model, as far as it says something of this service."""
    return {
        "name": NAME,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "default_model_filename": "model.onnx",
        "max_batch_size": settings.max_images,
        "input": [{"name": INPUT, "data_type": "TYPE_UINT8", "dims": [28, 28]}],
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
        "instance_group": [
            {
                "name": NAME,
                "kind": "KIND_GPU" if provider == "cuda" else "KIND_CPU",
                "count": settings.workers,
            }
        ],
    }
