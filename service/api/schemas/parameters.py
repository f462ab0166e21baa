"""The parameters that endpoints declare in their signatures."""

from typing import Annotated, Literal

from fastapi import Depends, Header, Query

from service.api.request import Request

PATH_PARAMETERS = {
    "model": "The name of the one model: mnist.",
    "version": "The number of a version.",
    "label": "The label of a version: champion.",
    "picture": "Its name, such as training_curve or confusion_matrix.",
    "index": "The number of an image in the test set, from 0.",
}
"""What the parameters of paths mean, where the name does not say it."""

_Timeout = Annotated[
    float | None,
    Header(gt=0, description="Milliseconds until a 504; at most the service's own deadline."),
]
_Id = Annotated[
    str | None,
    Header(pattern="^[A-Za-z0-9._-]{1,128}$", description="Returned as X-Request-ID, and logged."),
]


def _timed(x_request_timeout_ms: _Timeout = None, x_request_id: _Id = None) -> None:
    """The header fields that a request with a deadline reads itself; no door calls this."""


Current = Annotated[Request, Depends(lambda: None)]  # the first parameter of every endpoint
Timed = Annotated[Request, Depends(_timed)]
"""The first parameter of an endpoint that has a deadline."""

VersionQuery = Annotated[str | None, Query(description="The version, instead of the champion.")]
IncludeQuery = Annotated[
    Literal["seen", "why", "seen,why", "why,seen"] | None,
    Query(
        description="`seen` adds what the model saw, `why` what each pixel adds to the confidence."
    ),
]
ReadIncludeQuery = Annotated[
    Literal["probabilities"] | None,
    Query(description="`probabilities` adds those of the digits to each digit."),
]
AgainstQuery = Annotated[
    int | None, Query(ge=0, le=9, description="The other digit; by default the second likeliest.")
]
DatasetQuery = Annotated[str | None, Query(description="The service's data set: mnist-test.")]
MistakesQuery = Annotated[
    int, Query(ge=0, le=1000, description="Most mistakes that are listed, and right images.")
]
CountQuery = Annotated[int, Query(ge=1, le=100, description="How many images.")]
BinaryLength = Annotated[
    int | None,
    Header(
        alias="Inference-Header-Content-Length",
        ge=0,
        description="Bytes of JSON before the tensors; 0 if the body is one image of 784 bytes.",
    ),
]
