"""``/``, ``/docs`` and ``/openapi.json``: the page to draw on, and the API as page and as JSON."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic.json_schema import models_json_schema

from service.api.request import Headers, Reply, Request
from service.api.routing import EndpointRoute, at_each, endpoints, needs
from service.api.schemas.answers import ErrorAnswer, Problem
from service.api.schemas.parameters import Current
from service.errors import NotFound

_MEDIA_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".png": b"image/png",
    ".svg": b"image/svg+xml",
}
_STATIC = Path(__file__).resolve().parents[1] / "static"
# No path is built from a name: only the files that are there at the start are served.
_FILES = {
    f"/{path.relative_to(_STATIC).as_posix()}": path
    for path in _STATIC.rglob("*")
    if path.suffix in _MEDIA_TYPES
}
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Headers = (
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"no-referrer"),
    # Browsers ask each time, so that a page never runs with the modules of another release.
    (b"cache-control", b"no-cache"),
)
router = endpoints("page", None)


@router.get("/", response_class=HTMLResponse)
async def page(request: Current) -> Reply:
    """The page to draw on; KServe's `{"status": "alive"}` for a client that takes no HTML."""
    accept = request.field(b"accept")
    if accept is not None and "text/html" not in accept and "*/*" not in accept:
        return Reply.json({"status": "alive"})
    return _file(request, "/page/index.html")


@router.get("/docs", response_class=HTMLResponse)
async def docs(request: Current) -> Reply:
    """The API as a page to try out."""
    return _file(request, "/docs/index.html")


@at_each(
    router,
    ("/page/{name}", "/page/{folder}/{name}", "/docs/{name}"),
    methods=["GET"],
    response_class=PlainTextResponse,
)
async def page_file(request: Current, name: str, folder: str = "") -> Reply:
    """A module, a stylesheet or the icon of a page, but not the page itself."""
    return _file(request, "" if name == "index.html" else request.path)


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


def _file(request: Request, name: str) -> Reply:
    """A file of a page; 304 if the caller's copy is current (RFC 9110, 13.1.2); or NotFound."""
    path = _FILES.get(name)
    if path is None:
        raise NotFound(f"the page has no file {request.path[:60]!r}")
    content, etag = _read(path)
    headers: Headers = ((b"etag", etag), *_HEADERS)
    known = (request.field(b"if-none-match") or "").encode("latin-1").split(b",")
    if any(tag.strip().removeprefix(b"W/") == etag for tag in known):
        return Reply(b"", 304, _MEDIA_TYPES[path.suffix], headers)
    return Reply(content, 200, _MEDIA_TYPES[path.suffix], headers)


@lru_cache
def _read(path: Path) -> tuple[bytes, bytes]:
    content = path.read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'.encode()
