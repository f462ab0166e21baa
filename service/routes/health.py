"""``/health/*``: whether the process lives, and whether requests should be sent to it."""

from __future__ import annotations

from fastapi import FastAPI

from service.errors import Unavailable
from service.exchange import Exchange, Reply
from service.lifecycle import Lifecycle
from service.routing import add_route
from service.schemas.operations import LIVE, READY


def mount(app: FastAPI, lifecycle: Lifecycle) -> None:
    """Adds the routes to ``app``."""

    async def live(exchange: Exchange) -> Reply:
        """The process answers; says nothing of the model."""
        return Reply.json({"status": "live"})

    async def ready(exchange: Exchange) -> Reply:
        """The champion is loaded, checked and warmed, and the service is not draining."""
        reason = lifecycle.why_not_ready()
        if reason is not None:
            raise Unavailable(reason, headers=((b"retry-after", b"1"),))
        return Reply.json({"status": "ready"})

    add_route(app, "GET", "/health/live", live, **LIVE)
    add_route(app, "GET", "/health/ready", ready, **READY)
