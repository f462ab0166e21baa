"""What ``/models/mnist/challenger`` answers."""

from typing import Literal

from pydantic import BaseModel, Field

from service.answer.scores import Share


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
