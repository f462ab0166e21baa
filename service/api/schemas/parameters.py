"""The parameters that endpoints declare in their signatures."""

from typing import Annotated, Any

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


def _query(description: str, **schema: Any) -> Any:
    return Query(description=description, json_schema_extra=schema)


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

VersionQuery = Annotated[
    str | None, Query(alias="version", description="The version to ask instead of the champion.")
]
IncludeQuery = Annotated[
    str | None,
    _query(
        "`seen` adds what the model saw, `why` what each pixel adds to the confidence.",
        enum=["seen", "why", "seen,why", "why,seen"],
    ),
]
ReadIncludeQuery = Annotated[
    str | None,
    _query("`probabilities` adds those of the digits to each digit.", enum=["probabilities"]),
]
AgainstQuery = Annotated[
    str | None,
    _query("The other digit; by default the second likeliest.", enum=[str(d) for d in range(10)]),
]
DatasetQuery = Annotated[
    str | None, _query("A data set that the service holds; without a body.", enum=["mnist-test"])
]
MistakesQuery = Annotated[
    str | None,
    _query("Most mistakes listed, and right images; by default 20.", minimum=0, maximum=1000),
]
CountQuery = Annotated[str, _query("How many images.", type="integer", minimum=1, maximum=100)]
BinaryLength = Annotated[
    int | None,
    Header(
        alias="Inference-Header-Content-Length",
        ge=0,
        description="Bytes of JSON before the tensors; 0 if the body is one image of 784 bytes.",
    ),
]
