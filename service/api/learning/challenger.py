"""``/models/mnist/challenger``: how the version that challenges the champion does."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from service.answer.scores import Share
from service.api.request import Reply
from service.api.routing import OwnRoute, needs
from service.api.schemas.parameters import Current
from service.api.schemas.responses import problems

router = APIRouter(route_class=OwnRoute, tags=["models"], dependencies=needs("predict"))


class ChallengerState(BaseModel):
    """How the challenger does against the champion."""

    version: str
    mode: Literal["shadow", "canary"]
    share: Share = Field(description="the share of the callers whom it answers")
    images: int = Field(description="images that champion and challenger both answered")
    agreement: Share | None = Field(description="the share of them with the same digit")
    labelled: int = Field(description="images with two digits and a label")
    wins: int = Field(description="those on which the challenger alone is right")
    losses: int = Field(description="those on which the champion alone is right")
    low: Share = Field(description="with high, bounds of the share of wins that hold at every look")
    high: Share
    verdict: Literal["undecided", "promote", "reject"]
    reason: str


@router.get(
    "/models/mnist/challenger", response_model=ChallengerState, responses=problems(404, 422, 503)
)
async def challenger(request: Current) -> Reply:
    """The challenger, both versions' answers, and the verdict; 404 without one, or a store."""
    return Reply.json(await request.core.challenge.report())
