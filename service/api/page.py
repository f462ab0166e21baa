"""``GET /``: the page to draw on, and the files it is made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, PlainTextResponse

from service.api.request import Headers, Reply, Request
from service.api.routing import EndpointRoute
from service.api.schemas.parameters import Current
from service.api.schemas.responses import problems
from service.errors import NotFound

_FOLDER = Path(__file__).resolve().parents[1] / "static" / "page"
_MEDIA_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFETY = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    # Browsers ask each time, so that a page never runs with the modules of another release.
    (b"cache-control", b"no-cache"),
)
router = APIRouter(route_class=EndpointRoute, tags=["page"])


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: bytes
    etag: bytes

    def reply(self, request: Request) -> Reply:
        """The file, or 304 if the caller's copy is current (RFC 9110, 13.1.2)."""
        headers: Headers = ((b"etag", self.etag), *_SAFETY)
        known = (request.field(b"if-none-match") or "").encode("latin-1").split(b",")
        if any(tag.strip().removeprefix(b"W/") == self.etag for tag in known):
            return Reply(b"", 304, self.media_type, headers)
        return Reply(self.content, media_type=self.media_type, headers=headers)


def _read(path: Path) -> _File:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'.encode()
    return _File(content, _MEDIA_TYPES[path.suffix], etag)


# Only names that are in the folder at the start can be asked for: no path is built from a name.
_FILES = {path.name: _read(path) for path in _FOLDER.iterdir() if path.suffix in _MEDIA_TYPES}


@router.get("/", response_model=None, response_class=HTMLResponse, responses=problems())
async def page(request: Current) -> Reply:
    """The page to draw on."""
    return _FILES["index.html"].reply(request)


@router.get(
    "/page/{name}", response_model=None, response_class=PlainTextResponse, responses=problems(404)
)
async def page_file(request: Current, name: str) -> Reply:
    """A module, a stylesheet or the icon of the page."""
    file = None if name == "index.html" else _FILES.get(name)
    if file is None:
        raise NotFound(f"the page has no file {name[:40]!r}")
    return file.reply(request)
