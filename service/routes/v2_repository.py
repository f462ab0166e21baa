"""``/v2/repository/...``: which versions there are, taking one up, letting one go.

Which version serves is decided by the repository's champion file and by nothing that comes over
HTTP: ``load`` looks at it now, and no request writes a file. In all paths the name of a repository
may stand after ``repository``; there is one, so it says nothing. Source:
``extension_model_repository.md`` of triton-inference-server/server.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from service.decode import fields
from service.decode.diagnose import name_of
from service.decode.flaws import refuse
from service.decode.jsontext import parse_json
from service.exchange import Exchange, Reply
from service.lifecycle import Lifecycle
from service.repository import NAME
from service.routes.model_name import check_model
from service.routing import add_route
from service.schemas.protocols import V2_CHANGES, V2_INDEX

_BODY_BYTES = 1 << 20


def mount(app: FastAPI, lifecycle: Lifecycle) -> None:
    """Adds the routes to ``app``."""

    async def v2_index(exchange: Exchange) -> Reply:
        """Every version: `READY` where it is loaded, else `UNAVAILABLE` with the reason."""
        only_ready = (await _content(exchange)).get("ready", False)
        if type(only_ready) is not bool:
            raise refuse(None, "ready", f"is {name_of(only_ready)}; true or false is expected")
        return Reply.json(index((await lifecycle.listing())["versions"], only_ready=only_ready))

    async def v2_load(exchange: Exchange) -> Reply:
        """Takes up the champion of the repository now; the running one goes on until then."""
        check_model(exchange)
        _check_load(fields.parameters(await _content(exchange), "request"))
        await lifecycle.take_up_champion()
        return Reply.json({})

    async def v2_unload(exchange: Exchange) -> Reply:
        """Lets the version go that the parameter `version` names; never the champion."""
        check_model(exchange)
        asked = fields.parameters(await _content(exchange), "request")
        version = fields.typed(asked, "version", str, "a string", "request")
        await lifecycle.unload(lifecycle.champion.version if version is None else version)
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


async def _content(exchange: Exchange) -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty object."""
    body = await exchange.content(_BODY_BYTES)
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
