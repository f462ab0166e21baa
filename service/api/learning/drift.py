"""``/drift``: whether the champion's answers are still like those that it gave before it served."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import APIRouter

from service.api.request import Reply
from service.api.routing import OwnRoute, needs
from service.api.schemas.learning import Drift
from service.api.schemas.parameters import Current
from service.api.schemas.responses import problems
from service.errors import NotFound, Unavailable

router = APIRouter(route_class=OwnRoute, tags=["learning"], dependencies=needs("predict"))


@router.get("/drift", response_model=Drift, responses=problems(404, 422, 503))
async def drift(request: Current) -> Reply:
    """Compares the champion's last answers with its answers to held-out digits, all workers'."""
    core = request.core
    watch, version = core.watch, core.versions.champion.version
    if watch.store is not None:
        with suppress(Unavailable):
            await watch.store.run(watch.learn)
    views = await core.versions.ask("drift")
    found = await asyncio.to_thread(watch.joined, views)
    if found is None:
        raise NotFound(f"the card of version {version} has no reference; `train` publishes one")
    return Reply.json(found)
