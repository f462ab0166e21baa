"""What the endpoints answer; small answers of ``/v1`` and ``/v2`` are as their protocols say."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from service.answer.scores import Digit, Mistake, Scores, Share
from service.errors import Flaw


def _long(count: int) -> Any:
    return Field(min_length=count, max_length=count)


Mnist = Literal["mnist"]
Doubt = Literal["blank", "not a digit", "several digits", "too small", "low contrast", "inverted"]
Box = Annotated[list[int], _long(4), Field(description="left, top, width, height, in pixels")]
Png = Annotated[
    str, Field(json_schema_extra={"contentEncoding": "base64", "contentMediaType": "image/png"})
]
Probabilities = Annotated[list[float], _long(10), Field(description="of the digits 0 to 9")]
Pixels = Annotated[list[Annotated[list[float], _long(28)]], _long(28)]


class Problem(BaseModel):
    """Every error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="one sentence")
    errors: list[Flaw] = Field([], description="absent if there is one fault, in `detail`")


class ErrorAnswer(BaseModel):
    """Every error under ``/v1`` and ``/v2``."""

    error: str = Field(description="one sentence")


class Seen(BaseModel):
    """What the model saw, with `?include=seen`."""

    png: Png = Field(description="the 28x28 image that the model read")
    box: Box | None = Field(description="of the digit; null for an array, and if none was found")
    polarity: Literal["as given", "dark on light", "light on dark"]
    stroke_width: float = Field(description="mean width of the strokes in pixels of the 28x28")


class Attributed(BaseModel):
    """What the pixels add to the confidence."""

    attributions: Pixels = Field(description="for each pixel; their sum is confidence - base")
    base: Share = Field(description="the confidence of a blank image in this digit")
    method: str = Field(examples=["Shapley values of 8 patches, from 128 coalitions"])


class Why(Attributed):
    """The reasons of one prediction, with `?include=why`."""

    png: Png = Field(description="the attributions, 28x28: orange speaks for the digit, blue not")


class Prediction(BaseModel):
    """What one image shows."""

    digit: Digit
    confidence: Share = Field(description="the largest of the probabilities")
    probabilities: Probabilities
    doubtful: bool = Field(description="whether there are doubts")
    doubts: list[Doubt]
    seen: Seen | None = Field(None, description="only with `?include=seen`")
    why: Why | None = Field(None, description="only with `?include=why`")


class Predictions(BaseModel):
    """The answer of `/predict`, in the order of the images."""

    model: Mnist
    version: str
    predictions: list[Prediction]


class DigitRead(BaseModel):
    """One digit of a number."""

    digit: Digit
    confidence: Share
    box: Box
    probabilities: Probabilities | None = Field(None, description="with `?include=probabilities`")


class NumberRead(BaseModel):
    """The answer of `/read`."""

    text: str = Field(description="a newline between lines of digits; empty for none")
    digits: list[DigitRead] = Field(description="in reading order")


@dataclass(frozen=True, slots=True)
class Evaluation(Scores):
    """The answer of `/evaluate`; images that were read right have the form of mistakes."""

    least_sure: list[Mistake]
    model: Mnist
    version: str


class Otherwise(BaseModel):
    """A small change of strokes that makes the version read another digit."""

    digit: Digit
    png: Png = Field(description="the changed 28x28 image")
    confidence: Share = Field(description="in the other digit, at least 0.5")
    changed: float = Field(description="ink put in or taken out, in pixels of full ink")


class Nearest(BaseModel):
    """A training image."""

    index: int = Field(description="its place in MNIST's training set, from 0")
    label: Digit
    distance: float = Field(description="Euclidean, of pixels from 0 to 1")
    png: Png


class Explanation(Attributed):
    """The answer of `/explain`."""

    model: Mnist
    version: str
    digit: Digit
    confidence: Share
    standard_error: Pixels = Field(description="of each attribution; 0 if nothing was sampled")
    otherwise: Otherwise | None = Field(description="null if no change was found or is needed")
    nearest: list[Nearest] = Field(description="empty where the service has no training images")


class VersionState(BaseModel):
    """One version of the model."""

    version: str
    state: Literal["serving", "loaded", "available", "failed"]
    reason: str | None = Field(description="why it failed")


class ModelState(BaseModel):
    """A model with its versions."""

    name: Mnist
    champion: str
    champion_fault: str | None = Field(description="why the champion file's version does not serve")
    challenger: str | None = Field(description="the version that challenges it")
    versions: list[VersionState]
    provider: dict[str, Any] = Field(
        description="what really runs the champion, read back from the session: `requested`, "
        "`active`, why auto is not CUDA (`fallback`), graph `nodes`, `onnxruntime`, `threads`"
    )


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

    kind: Literal["labels", "appearance", "no digits"]
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
    threshold: float
    shares: list[Share] = Field(description="estimated, of the digits 0 to 9")
    accuracy: Accuracy
