"""``/v2/repository/...``: which versions there are, taking one up, letting one go.

Which version serves is decided by the repository's champion file and by nothing that comes over
HTTP: ``load`` looks at it now, and no request writes a file. In all paths the name of a repository
may stand after ``repository``; there is one, so it says nothing. Source:
``extension_model_repository.md`` of triton-inference-server/server.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from service.api.model_name import check_model
from service.api.request import Reply, Request
from service.api.routing import add_route
from service.api.schemas.protocols import V2_CHANGES, V2_INDEX
from service.decode import v2_fields
from service.decode.diagnosis import name_of
from service.decode.json_text import parse_json
from service.decode.validation import refuse
from service.models.repository import NAME
from service.models.versions import Versions

_BODY_BYTES = 1 << 20


def mount(app: FastAPI, versions: Versions) -> None:
    """Adds the routes to ``app``."""

    async def v2_index(request: Request) -> Reply:
        """Every version: `READY` where it is loaded, else `UNAVAILABLE` with the reason."""
        only_ready = (await _content(request)).get("ready", False)
        if type(only_ready) is not bool:
            raise refuse(None, "ready", f"is {name_of(only_ready)}; true or false is expected")
        return Reply.json(index((await versions.listing())["versions"], only_ready=only_ready))

    async def v2_load(request: Request) -> Reply:
        """Takes up the champion of the repository now; the running one goes on until then."""
        check_model(request)
        _check_load(v2_fields.parameters(await _content(request), "request"))
        await versions.take_up_champion()
        return Reply.json({})

    async def v2_unload(request: Request) -> Reply:
        """Lets the version go that the parameter `version` names; never the champion."""
        check_model(request)
        asked = v2_fields.parameters(await _content(request), "request")
        version = v2_fields.typed(asked, "version", str, "a string", "request")
        await versions.unload(versions.champion.version if version is None else version)
        return Reply.json({})

    for tail, endpoint, options in (
        ("index", v2_index, V2_INDEX),
        ("models/{model}/load", v2_load, V2_CHANGES),
        ("models/{model}/unload", v2_unload, V2_CHANGES),
    ):
        exact = f"/v2/repository/{tail}".format(model=NAME)
        add_route(app, "POST", exact, endpoint, **options)
        for path in (f"/v2/repository/{tail}", f"/v2/repository/{{repository}}/{tail}"):
            if path != exact:
                add_route(app, "POST", path, endpoint, include_in_schema=False)


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
