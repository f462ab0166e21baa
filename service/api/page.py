"""``GET /``: the page to draw on, and the files it is made of, all from here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from service.api.request import Headers, Reply, Request
from service.api.routing import add_route
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
    # Asked anew each time, so that a page never runs with another release's modules.
    (b"cache-control", b"no-cache"),
)


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: bytes
    etag: bytes

    def reply(self, request: Request) -> Reply:
        """The file, or word that the caller's copy still holds (RFC 9110, 13.1.2)."""
        headers: Headers = ((b"etag", self.etag), *_SAFETY)
        known = (request.field(b"if-none-match") or "").encode("latin-1").split(b",")
        if any(tag.strip().removeprefix(b"W/") == self.etag for tag in known):
            return Reply(b"", 304, self.media_type, headers)
        return Reply(self.content, media_type=self.media_type, headers=headers)


def mount(app: FastAPI) -> None:
    """Adds the routes to ``app``."""
    # The names that can be asked for are those that were there at the start: no path is built.
    files = {path.name: _read(path) for path in _FOLDER.iterdir() if path.suffix in _MEDIA_TYPES}
    index = files.pop("index.html")

    async def page(request: Request) -> Reply:
        return index.reply(request)

    async def part(request: Request) -> Reply:
        name = request.path_params["name"]
        if name not in files:
            raise NotFound(f"the page has no file {name[:40]!r}")
        return files[name].reply(request)

    add_route(app, "GET", "/", page, include_in_schema=False)
    add_route(app, "GET", "/page/{name}", part, include_in_schema=False)


def _read(path: Path) -> _File:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'.encode()
    return _File(content, _MEDIA_TYPES[path.suffix], etag)
