"""``/openapi.json``: the description of the API."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from service import __version__
from service.api.request import Reply
from service.api.routing import EndpointRoute, needs
from service.api.schemas.parameters import Current
from service.api.schemas.responses import Problem, problems


def openapi_route(others: Sequence[BaseRoute]) -> EndpointRoute:
    """The route of the document, which describes the ``others`` and itself."""

    @lru_cache(maxsize=8)
    def described(root_path: str) -> bytes:
        return orjson.dumps(describe([*others, route], root_path))

    async def openapi(request: Current) -> Reply:
        """This document."""
        return Reply(described(request.root_path))

    route = EndpointRoute(
        "/openapi.json",
        openapi,
        response_model=dict[str, Any],
        responses=problems(),
        tags=["documentation"],
        dependencies=needs(None),
    )
    return route


def describe(routes: Sequence[BaseRoute], root_path: str = "") -> dict[str, Any]:
    """The OpenAPI document of ``routes``, served below ``root_path``."""
    document = get_openapi(
        title="mnist-serve",
        version=__version__,
        description="Digit recognition: trained with Keras, served with ONNX Runtime.",
        routes=routes,
        servers=[{"url": root_path}] if root_path else None,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}), Problem=problem)
    return document
