"""What the endpoints answer by which the service learns from its use."""

from typing import Literal

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
    reason: str = Field(examples=["unsure: 0.51 for 3, 0.48 for another digit"])
    when: str | None = Field(examples=["2026-11-24T13:31:26Z"])


class Review(BaseModel):
    """The answer of `/review`, what a label would teach most first."""

    waiting: int = Field(description="images without a label")
    items: list[ReviewItem]


class DriftAlarm(BaseModel):
    """A difference between the answers in use and the reference that chance does not explain."""

    kind: Literal["labels", "appearance", "no digits"] = Field(
        description="labels: other shares of the digits; appearance: digits that the champion is "
        "less, or more, sure of; no digits: more answers in doubt"
    )
    when: str = Field(description="when it began; ISO 8601 in UTC")
    score: float = Field(description="-log10 of the probability of such a window without drift")
    threshold: float = Field(description="the score from which on it is an alarm")
    examples: list[str] = Field(description="ids of requests that show it best")


class Accuracy(BaseModel):
    """The share of right answers in use; an answer to an image of no digit is wrong."""

    estimate: Share | None = Field(description="null without answers")
    low: Share | None = Field(description="with `high`: holds the truth in 95 %; null unlabelled")
    high: Share | None
    labelled: int = Field(description="answers of the last week that reviewers labelled")


class Drift(BaseModel):
    """The answer of `/drift`."""

    state: Literal["steady", "drift", "too few"]
    answers: int = Field(description="the champion's last answers, up to 1,000 of each worker")
    alarms: list[DriftAlarm] = Field(description="those that last, the strongest first")
    scores: list[list[float]] = Field(
        description="over time: Unix seconds, then the scores of labels, appearance, no digits"
    )
    threshold: float = Field(description="the score from which on it is an alarm")
    shares: list[Share] = Field(
        description="estimated shares of the digits 0 to 9; empty without answers"
    )
    accuracy: Accuracy
