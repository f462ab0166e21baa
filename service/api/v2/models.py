"""``/v2/models/...``: what the model is, whether it is ready, and what it has done.

Sources: ``inference_rest.md`` of kserve/open-inference-protocol; ``extension_statistics.md`` and
``extension_model_configuration.md`` of triton-inference-server/server, whose configuration is
``model_config.proto`` as JSON.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from service.api.model_name import check_model
from service.api.request import Reply, Request
from service.api.routing import add_route
from service.api.schemas.protocols import V2_SHOWS, V2_STATE
from service.errors import Unavailable
from service.inference.runtime import INPUT, OUTPUT
from service.models.repository import NAME
from service.models.versions import Loaded, Versions
from service.observe.statistics import Statistics
from service.settings import Settings

PLATFORM = "onnx_onnxv1"


def mount(app: FastAPI, settings: Settings, versions: Versions) -> None:
    """Adds the routes to ``app``, each with and without a version."""

    async def v2_metadata(request: Request) -> Reply:
        """The model's versions and tensors."""
        await _known(request, versions)
        listing = await versions.listing()
        return Reply.json(metadata([entry["version"] for entry in listing["versions"]]))

    async def v2_model_ready(request: Request) -> Reply:
        """The version is loaded; without one, the champion is, and the service is not draining."""
        version = await _known(request, versions)
        reason = versions.why_not_ready() or await _why_not_loaded(version, versions)
        if reason is not None:
            raise Unavailable(reason, headers=((b"retry-after", b"1"),))
        return Reply.json({"name": NAME, "ready": True})

    async def v2_config(request: Request) -> Reply:
        """The model's configuration, in the form of Triton's."""
        await _known(request, versions)
        provider = versions.champion.runtime.report.active
        return Reply.json(configuration(settings, provider))

    async def v2_statistics(request: Request) -> Reply:
        """What the loaded versions have done in this worker since they were loaded.

        A version that is asked for by its number and not loaded has done nothing.
        """
        version = await _known(request, versions)
        return Reply.json({"model_stats": statistics(versions.loaded, version)})

    add_route(app, "GET", "/v2/models/stats", v2_statistics, **V2_SHOWS)
    for tail, endpoint in (
        ("", v2_metadata),
        ("/ready", v2_model_ready),
        ("/config", v2_config),
        ("/stats", v2_statistics),
    ):
        add_route(app, "GET", f"/v2/models/mnist{tail}", endpoint, **V2_STATE)
        for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            add_route(app, "GET", path + tail, endpoint, include_in_schema=False)


async def _known(request: Request, versions: Versions) -> str | None:
    """The version in the path, if one is; :class:`NotFound` where it or the model is not there."""
    check_model(request)
    version: str | None = request.path_params.get("version")
    if version is not None:
        await versions.state(version)
    return version


async def _why_not_loaded(version: str | None, versions: Versions) -> str | None:
    if version is None:
        return None
    state = await versions.state(version)
    if state["state"] in {"serving", "loaded"}:
        return None
    reason = state["reason"] or "not loaded; it is when it is first asked for"
    return f"version {version}: {reason}"


def statistics(loaded: list[Loaded], version: str | None) -> list[dict[str, Any]]:
    """The statistics of one version, loaded or not, or of all that are loaded."""
    done = {each.version: each.statistics for each in loaded}
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
