"""``/docs`` and ``/openapi.json``: the description of the API, readable with no internet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.routing import BaseRoute

from service import __version__
from service.api.request import Reply
from service.api.routing import EndpointRoute
from service.api.schemas.parameters import Current
from service.api.schemas.responses import Problem, problems
from service.errors import NotFound

_FOLDER = Path(__file__).resolve().parents[1] / "static" / "docs"
_MEDIA_TYPES = {
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "swagger-ui.css": b"text/css; charset=utf-8",
    "favicon-32x32.png": b"image/png",
}
_CACHE = (b"cache-control", b"public, max-age=86400")
_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>mnist-serve: API</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: null,  // it would be asked over the internet
});
</script>
</body>
</html>
"""


def router(routes: Sequence[BaseRoute]) -> APIRouter:
    """The routes of the documentation, which describes ``routes`` and itself."""
    own = APIRouter(route_class=EndpointRoute, tags=["documentation"])

    @own.get("/docs", response_model=None, response_class=HTMLResponse, responses=problems())
    async def docs(request: Current) -> Reply:
        """The API as a page to try out."""
        return Reply(_PAGE, media_type=b"text/html; charset=utf-8")

    @own.get(
        "/docs/{name}",
        response_model=None,
        response_class=PlainTextResponse,
        responses=problems(404),
    )
    async def docs_file(request: Current, name: str) -> Reply:
        """A file that the page of the API loads."""
        if name not in _MEDIA_TYPES:
            raise NotFound(f"the documentation has no file {name[:40]!r}")
        content = (_FOLDER / name).read_bytes()
        return Reply(content, media_type=_MEDIA_TYPES[name], headers=(_CACHE,))

    @own.get("/openapi.json", response_model=dict[str, Any], responses=problems())
    async def openapi(request: Current) -> Reply:
        """This document."""
        return Reply(described(request.root_path))

    @lru_cache(maxsize=8)
    def described(root_path: str) -> bytes:
        return orjson.dumps(describe([*routes, *own.routes], root_path))

    return own


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
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    return document
