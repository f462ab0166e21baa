"""``/v1/models...``: names, status and metadata, in TensorFlow Serving's form.

Sources: ``g3doc/api_rest.md``, ``apis/get_model_status.proto`` and
``apis/get_model_metadata.proto`` of tensorflow/serving.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from service.api.request import Reply, Request
from service.api.routing import Endpoint, EndpointRoute, check_model, without
from service.api.schemas.parameters import Current, LabelPath, ModelPath, VersionPath
from service.api.schemas.protocols import ModelNames, SignatureMetadata, VersionStatuses
from service.api.schemas.responses import errors
from service.decode.v1 import SIGNATURE
from service.errors import MethodNotAllowed, NotFound
from service.models.repository import NAME
from service.types import INPUT, OUTPUT

CHAMPION = "champion"
router = APIRouter(route_class=EndpointRoute, tags=["v1"])


def on_each_path(router: APIRouter, tail: str, endpoint: Endpoint, **options: Any) -> None:
    """Adds the endpoint for the champion, for a version by number, and for one by label."""
    model = "/v1/models/{model}"
    add = router.add_api_route
    add(model + tail, without(endpoint, "version", "label"), **options)
    add(model + "/versions/{version}" + tail, without(endpoint, "label"), **options)
    add(model + "/labels/{label}" + tail, without(endpoint, "version"), **options)


@router.get("/v1/models", response_model=ModelNames, responses=errors())
async def v1_names(request: Current) -> Reply:
    """The names of the models."""
    return Reply.json({"models": [NAME]})


async def v1_metadata(
    request: Current, model: ModelPath, version: VersionPath | None, label: LabelPath | None
) -> Reply:
    """The model's one signature."""
    asked = asked_version(request, model, version, label)
    versions = request.core.versions
    if asked is not None:
        await versions.state(asked)
    return Reply.json(metadata(asked or versions.champion.version))


async def v1_status(
    request: Current, model: ModelPath, version: VersionPath | None, label: LabelPath | None
) -> Reply:
    """The state of each version, the champion's first: `AVAILABLE` if it is loaded."""
    if ":" in request.path:  # a GET of `...:predict` matches as a name, which never has a colon
        raise MethodNotAllowed("GET is not allowed here; POST is", headers=((b"allow", b"POST"),))
    asked = asked_version(request, model, version, label)
    versions = request.core.versions
    if asked is not None:
        states = [await versions.state(asked)]
    else:
        states = (await versions.listing())["versions"]
        states.sort(key=lambda s: (s["state"] == "serving", int(s["version"])), reverse=True)
    return Reply.json({"model_version_status": [_status(state) for state in states]})


on_each_path(
    router,
    "/metadata",
    v1_metadata,
    methods=["GET"],
    response_model=SignatureMetadata,
    responses=errors(404, 503),
)
on_each_path(
    router,
    "",
    v1_status,
    methods=["GET"],
    response_model=VersionStatuses,
    responses=errors(404, 405, 503),
)


def asked_version(
    request: Request, model: str, version: str | None, label: str | None
) -> str | None:
    """The version that the path names by number or label; None for the champion of the moment.

    Raises :class:`NotFound` for another model or label. The version may not exist.
    """
    check_model(model)
    if label is None:
        return version
    if label != CHAMPION:
        raise NotFound(f"there is no label {label[:40]!r}; there is {CHAMPION!r}")
    return request.core.versions.champion.version


def _status(state: dict[str, Any]) -> dict[str, Any]:
    failed = state["state"] == "failed"
    return {
        "version": state["version"],
        "state": "AVAILABLE" if state["state"] in {"serving", "loaded"} else "END",
        "status": {
            "error_code": "FAILED_PRECONDITION" if failed else "OK",
            "error_message": state["reason"] if failed else "",
        },
    }


def metadata(version: str) -> dict[str, Any]:
    """The metadata of a version: its signature, as the JSON of TensorFlow's SignatureDef."""
    signature = {
        "inputs": {INPUT: _tensor(INPUT, "DT_UINT8", -1, 28, 28)},
        "outputs": {OUTPUT: _tensor(OUTPUT, "DT_FLOAT", -1, 10)},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": NAME, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def _tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    dim = [{"size": str(size), "name": ""} for size in shape]
    return {
        "dtype": dtype,
        "tensor_shape": {"dim": dim, "unknown_rank": False},
        "name": name,
    }
