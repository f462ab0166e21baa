"""``/v1/models...``: names, status and metadata, in TensorFlow Serving's form.

Sources: ``g3doc/api_rest.md``, ``apis/get_model_status.proto`` and
``apis/get_model_metadata.proto`` of tensorflow/serving.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from service.api.model_name import check_model
from service.api.request import Reply, Request
from service.api.routing import add_route
from service.api.schemas.protocols import V1_SHOWS
from service.decode.v1 import SIGNATURE
from service.errors import MethodNotAllowed, NotFound
from service.inference.runtime import INPUT, OUTPUT
from service.models.repository import NAME
from service.models.versions import Versions

CHAMPION = "champion"
PATHS = (
    "/v1/models/{model}",
    "/v1/models/{model}/versions/{version}",
    "/v1/models/{model}/labels/{label}",
)


def mount(app: FastAPI, versions: Versions) -> None:
    """Adds the routes to ``app``."""

    async def v1_names(request: Request) -> Reply:
        """The names of the models."""
        return Reply.json({"models": [NAME]})

    async def v1_status(request: Request) -> Reply:
        """The state of each version, the champion's first: `AVAILABLE` where it is loaded."""
        _refuse_verb(request)
        version = asked_version(request, versions)
        if version is not None:
            states = [await versions.state(version)]
        else:
            states = (await versions.listing())["versions"]
            states.sort(key=lambda s: (s["state"] == "serving", int(s["version"])), reverse=True)
        return Reply.json({"model_version_status": [_status(state) for state in states]})

    async def v1_metadata(request: Request) -> Reply:
        """The model's one signature."""
        version = asked_version(request, versions)
        if version is not None:
            await versions.state(version)
        return Reply.json(metadata(version or versions.champion.version))

    add_route(app, "GET", "/v1/models", v1_names, **V1_SHOWS)
    for tail, endpoint in (("", v1_status), ("/metadata", v1_metadata)):
        add_route(app, "GET", f"/v1/models/mnist{tail}", endpoint, **V1_SHOWS)
        for path in PATHS:
            add_route(app, "GET", path + tail, endpoint, include_in_schema=False)


def asked_version(request: Request, versions: Versions) -> str | None:
    """The version that the path names by number or label, or None where it names none.

    Raises :class:`NotFound` for another model or label; a version may still not be there.
    """
    check_model(request)
    label = request.path_params.get("label")
    if label is None:
        return request.path_params.get("version")
    if label != CHAMPION:
        raise NotFound(f"there is no label {label[:40]!r}; there is {CHAMPION!r}")
    return versions.champion.version


def _refuse_verb(request: Request) -> None:
    """A GET of ``...:predict`` has its path, as its last parameter, but not its method."""
    if ":" in request.path:  # which no name has
        raise MethodNotAllowed("GET is not read here; POST is", headers=((b"allow", b"POST"),))


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
