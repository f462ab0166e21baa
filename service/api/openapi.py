"""``/openapi.json``: the description of the API."""

from functools import lru_cache
from typing import Any

import orjson
from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from service.api.request import Reply
from service.api.routing import EndpointRoute, needs
from service.api.schemas.answers import ErrorAnswer, Problem
from service.api.schemas.parameters import Current


def openapi_route(app: FastAPI) -> EndpointRoute:
    """The route of the document, which describes the application and itself."""

    @lru_cache(maxsize=8)
    def described(root_path: str) -> bytes:
        servers = {"servers": [{"url": root_path}]} if root_path else {}
        return orjson.dumps(describe(app) | servers)

    async def openapi(request: Current) -> Reply:
        """This document."""
        return Reply(described(request.root_path))

    tags: list[Any] = ["documentation"]
    return EndpointRoute("/openapi.json", openapi, tags=tags, dependencies=needs(None))


def describe(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with the forms of faults, which are no models of its routes."""
    document = app.openapi()
    template = "#/components/schemas/{model}"
    forms = models_json_schema(
        [(Problem, "serialization"), (ErrorAnswer, "serialization")], ref_template=template
    )
    document["components"]["schemas"] |= forms[1]["$defs"]
    return document
