"""What the endpoints answer by which the service learns from its use."""

from pydantic import BaseModel, Field

from service.answer.scores import Digit, Share
from service.api.schemas.reasons import Png


class Label(BaseModel):
    """What somebody says that an image shows."""

    id: str
    digit: Digit | None = Field(description="null: no digit")


class ReviewItem(BaseModel):
    """An image for review, and what the service answered last; null if that is not kept."""

    id: str
    png: Png = Field(description="the 28x28 image that the model read")
    digit: Digit | None
    confidence: Share | None
    version: str | None
    reason: str = Field(examples=["the margin is 0.12"])
    when: str | None = Field(examples=["2026-11-24T13:31:26Z"])


class Review(BaseModel):
    """The answer of `/review`, what a label would teach most first."""

    waiting: int = Field(description="images without a label")
    items: list[ReviewItem]
