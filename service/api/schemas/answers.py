"""What the service's own endpoints answer; examples are real answers."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from service.answer.scores import ClassScore, Digit, Mistake, Share
from service.api.schemas.reasons import Png, Why

Box = Annotated[list[int], Field(min_length=4, max_length=4)]


class Seen(BaseModel):
    """What the model saw, with `?include=seen`."""

    png: Png = Field(description="the 28x28 image that the model read")
    box: Box | None = Field(
        description="left, top, width and height of the digit in the upright picture's pixels; "
        "null for an image that is taken as given, and if no digit was found"
    )
    polarity: Literal["as given", "dark on light", "light on dark"] = Field(
        description="as given: an array, or a 28x28 picture with a dark border"
    )
    stroke_width: float = Field(description="mean width of the strokes in pixels of the 28x28")


_ANSWER: dict[str, JsonValue] = {
    "model": "mnist",
    "version": "4",
    "predictions": [
        {
            "digit": 1,
            "confidence": 0.99993956,
            "probabilities": [
                *(0.0000019841425, 0.99993956, 0.0000033255428, 0.0000012211526, 0.000006205429),
                *(8.280536e-7, 0.0000015787178, 0.000039468698, 0.0000036366112, 0.0000022200986),
            ],
            "doubtful": False,
            "doubts": [],
        }
    ],
}
_NUMBER: dict[str, JsonValue] = {
    "text": "1",
    "digits": [{"digit": 1, "confidence": 0.99996006, "box": [12, 4, 3, 20]}],
}


class Prediction(BaseModel):
    """What one image shows."""

    digit: Digit
    confidence: Share = Field(description="the largest of the probabilities")
    probabilities: list[float] = Field(
        min_length=10, max_length=10, description="for the digits 0 to 9; they sum to 1"
    )
    doubtful: bool = Field(description="whether there are doubts")
    doubts: list[
        Literal["blank", "not a digit", "several digits", "too small", "low contrast", "inverted"]
    ] = Field(
        description="blank: there is no ink; not a digit: the model is unsure, or it is a blot or "
        "a line; inverted: an array whose background is ink; the others as they say"
    )
    seen: Seen | None = Field(None, description="only with `?include=seen`")
    why: Why | None = Field(None, description="only with `?include=why`")


class Predictions(BaseModel):
    """The answer of `/predict`, in the order of the images."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ANSWER]})
    model: Literal["mnist"]
    version: str = Field(examples=["3"])
    predictions: list[Prediction]


class DigitRead(BaseModel):
    """One digit of a number."""

    digit: Digit
    confidence: Share
    box: Box = Field(description="left, top, width and height in the upright picture's pixels")
    probabilities: list[float] | None = Field(
        None, description="for the digits 0 to 9; only with `?include=probabilities`"
    )


class NumberRead(BaseModel):
    """The answer of `/read`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_NUMBER]})
    text: str = Field(description="a newline between lines of digits; empty for none")
    digits: list[DigitRead] = Field(description="in reading order")


class Evaluation(BaseModel):
    """The answer of `/evaluate`."""

    model: Literal["mnist"]
    version: str = Field(examples=["3"])
    count: int
    accuracy: float | None
    loss: float | None = Field(description="mean cross-entropy in nats, probability at least 1e-7")
    calibration_error: float | None = Field(description="expected calibration error in 15 bins")
    per_class: list[ClassScore]
    confusion_matrix: list[list[int]] = Field(description="10 x 10, rows are the true digits")
    mistakes: list[Mistake] = Field(description="the most confident first, up to 20 or `?mistakes`")
    least_sure: list[Mistake] = Field(description="as many that were read right, least sure first")


class VersionState(BaseModel):
    """One version of the model in this worker."""

    version: str
    state: Literal["serving", "loaded", "available", "failed"]
    reason: str | None = Field(description="why it failed")


class ProviderState(BaseModel):
    """What really runs the champion, read back from the session."""

    requested: Literal["auto", "cpu", "cuda"]
    active: Literal["cpu", "cuda"]
    fallback: str | None = Field(description="why auto did not get CUDA")
    nodes: dict[str, int] = Field(description="graph nodes by execution provider")
    onnxruntime: str
    threads: int


class ModelState(BaseModel):
    """A model with its versions."""

    name: Literal["mnist"]
    champion: str
    champion_fault: str | None = Field(description="why the champion file's version does not serve")
    challenger: str | None = Field(description="the version that challenges it")
    versions: list[VersionState]
    provider: ProviderState


class Models(BaseModel):
    """The answer of `/models`."""

    models: list[ModelState]


class Status(BaseModel):
    """The answer of the health checks."""

    status: Literal["live", "ready"]
