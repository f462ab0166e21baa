"""``/v2/repository/...``: lists the versions, loads the champion, unloads a version.

The repository's champion file decides which version serves; no request writes a file. ``load``
makes the service read that file now. All paths may name a repository after ``repository``; there
is one, so the name is ignored. Source: ``extension_model_repository.md`` of
triton-inference-server/server.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from service.api.request import Reply, Request
from service.api.routing import EndpointRoute, check_model, without
from service.api.schemas.parameters import Current, ModelPath
from service.api.schemas.protocols import V2_CHANGE, V2_INDEX, Done, IndexEntry
from service.api.schemas.responses import errors
from service.decode.json_images import parse_json
from service.decode.v2 import parameters_of, typed_field
from service.decode.validation import name_of, refuse
from service.models.repository import NAME

_BODY_BYTES = 1 << 20
router = APIRouter(route_class=EndpointRoute, tags=["v2"])


async def v2_index(request: Current, repository: str | None) -> Reply:
    """Every version: `READY` if it is loaded, else `UNAVAILABLE` with the reason."""
    only_ready = (await _content(request)).get("ready", False)
    if type(only_ready) is not bool:
        raise refuse(None, "ready", f"is {name_of(only_ready)}; true or false is expected")
    states = (await request.core.versions.listing())["versions"]
    return Reply.json(index(states, only_ready=only_ready))


async def v2_load(request: Current, repository: str | None, model: ModelPath) -> Reply:
    """Loads the champion of the repository now; the version that serves goes on until then."""
    check_model(model)
    _check_load(parameters_of(await _content(request), "request"))
    await request.core.versions.take_up_champion()
    return Reply.json({})


async def v2_unload(request: Current, repository: str | None, model: ModelPath) -> Reply:
    """Unloads the version that the parameter `version` names, unless it is the champion."""
    check_model(model)
    asked = parameters_of(await _content(request), "request")
    version = typed_field(asked, "version", str, "a string", "request")
    versions = request.core.versions
    await versions.unload(versions.champion.version if version is None else version)
    return Reply.json({})


for _tail, _endpoint, _answer, _body in (
    ("/index", v2_index, list[IndexEntry], V2_INDEX),
    ("/models/{model}/load", v2_load, Done, V2_CHANGE),
    ("/models/{model}/unload", v2_unload, Done, V2_CHANGE),
):
    _options: dict[str, Any] = {
        "methods": ["POST"],
        "response_model": _answer,
        "responses": errors(404, 413, 503),
        "openapi_extra": _body,
    }
    router.add_api_route("/v2/repository" + _tail, without(_endpoint, "repository"), **_options)
    router.add_api_route("/v2/repository/{repository}" + _tail, _endpoint, **_options)


async def _content(request: Request) -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty object."""
    body = await request.content(_BODY_BYTES)
    content = parse_json(body) if body else {}
    if not isinstance(content, dict):
        raise refuse(None, "body", f"is {name_of(content)}; an object is expected")
    return content


def _check_load(parameters: dict[str, Any]) -> None:
    for name in parameters:
        if name == "config" or name.startswith("file:"):
            raise refuse(None, name[:40], "would overwrite files, which no request does here")
    if "version" in parameters:
        raise refuse(None, "version", "is for the champion file to say, which load takes up")


def index(states: list[dict[str, Any]], *, only_ready: bool) -> list[dict[str, str]]:
    """The repository's index, from the states of its versions."""
    entries = []
    for state in states:
        ready = state["state"] in {"serving", "loaded"}
        if ready or not only_ready:
            entries.append(
                {
                    "name": NAME,
                    "version": state["version"],
                    "state": "READY" if ready else "UNAVAILABLE",
                    "reason": "" if ready else state["reason"] or "not loaded",
                }
            )
    return entries
