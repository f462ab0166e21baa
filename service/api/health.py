"""``/health/*``: whether the process lives, and whether requests should be sent to it."""

from __future__ import annotations

from fastapi import FastAPI

from service.api.request import Reply, Request
from service.api.routing import add_route
from service.api.schemas.operations import LIVE, READY
from service.errors import Unavailable
from service.models.versions import Versions


def mount(app: FastAPI, versions: Versions) -> None:
    """Adds the routes to ``app``."""

    async def live(request: Request) -> Reply:
        """The process answers; says nothing of the model."""
        return Reply.json({"status": "live"})

    async def ready(request: Request) -> Reply:
        """The champion is loaded, checked and warmed, and the service is not draining."""
        reason = versions.why_not_ready()
        if reason is not None:
            raise Unavailable(reason, headers=((b"retry-after", b"1"),))
        return Reply.json({"status": "ready"})

    add_route(app, "GET", "/health/live", live, **LIVE)
    add_route(app, "GET", "/health/ready", ready, **READY)
