"""``/models/mnist/challenger``: how the version that challenges the champion does."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.request import Reply
from service.api.routing import OwnRoute, needs
from service.api.schemas.challenger import ChallengerState
from service.api.schemas.parameters import Current
from service.api.schemas.responses import problems

router = APIRouter(route_class=OwnRoute, tags=["models"], dependencies=needs("predict"))


@router.get(
    "/models/mnist/challenger", response_model=ChallengerState, responses=problems(404, 422, 503)
)
async def challenger(request: Current) -> Reply:
    """The challenger, what both versions answered, and the verdict on it; 404 without one."""
    return Reply.json(await request.core.challenge.report())
