"""What the service answers about its reasons."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from service.answer.scores import Digit, Share

Png = Annotated[
    str, Field(json_schema_extra={"contentEncoding": "base64", "contentMediaType": "image/png"})
]
_Row = Annotated[list[float], Field(min_length=28, max_length=28)]
Pixels = Annotated[list[_Row], Field(min_length=28, max_length=28)]


class _Attributed(BaseModel):
    """What the pixels add to the confidence."""

    attributions: Pixels = Field(
        description="what each pixel adds to the confidence; their sum is confidence - base"
    )
    base: Share = Field(description="the confidence of a blank image in this digit")
    method: str = Field(examples=["Shapley values of 8 patches, from 128 coalitions"])


class Why(_Attributed):
    """The reasons of one prediction, with `?include=why`."""

    png: Png = Field(description="the attributions, 28x28: orange speaks for the digit, blue not")


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
    png: Png = Field(description="the 28x28 image")


class Reasons(_Attributed):
    """The reasons of one answer."""

    digit: Digit
    confidence: Share
    standard_error: Pixels = Field(description="of each attribution; 0 if nothing was sampled")
    otherwise: Otherwise | None = Field(
        description="null if the image is read as this digit already, if no change was found, and "
        "where the service has no training images"
    )
    nearest: list[Nearest] = Field(
        description="the training images with the nearest pixels; empty where the service has none"
    )


class Explanation(Reasons):
    """The answer of `/explain`."""

    model: Literal["mnist"]
    version: str = Field(examples=["3"])


class FeatureMaps(BaseModel):
    """The answer of `/layers`."""

    model: Literal["mnist"]
    version: str
    digit: Digit
    confidence: Share
    layers: list[dict[str, Any]] = Field(
        description="of each convolution: `maps` of `height` and `width`, how many are `shown` "
        "in the `png`, what is black (`low`) and white (`high`), the `levels`, int8 `rounding`"
    )
