"""``/docs`` and ``/openapi.json``: the API described, readable with no internet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.api.request import Reply, Request
from service.api.routing import add_route
from service.api.schemas.answers import Problem

_FOLDER = Path(__file__).resolve().parents[1] / "static" / "docs"
_ASSETS = {
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "swagger-ui.css": b"text/css; charset=utf-8",
    "favicon-32x32.png": b"image/png",
}
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


def mount(app: FastAPI) -> None:
    """Adds the routes to ``app``; call it last, since the schema shows what is there by then."""
    schema: list[bytes] = []

    async def page(request: Request) -> Reply:
        return Reply(_PAGE, media_type=b"text/html; charset=utf-8")

    async def openapi(request: Request) -> Reply:
        if not schema:
            schema.append(orjson.dumps(describe(app)))
        return Reply(schema[0])

    def add(path: str, endpoint: Any) -> None:
        add_route(app, "GET", path, endpoint, include_in_schema=False)

    add("/docs", page)
    add("/openapi.json", openapi)
    for name, media_type in _ASSETS.items():
        add(f"/docs/{name}", _asset(name, media_type))


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of ``app``, with the error form that all routes share."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    return document


def _asset(name: str, media_type: bytes) -> Any:
    async def asset(request: Request) -> Reply:
        cache = (b"cache-control", b"public, max-age=86400")
        return Reply((_FOLDER / name).read_bytes(), media_type=media_type, headers=(cache,))

    return asset
