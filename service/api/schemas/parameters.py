"""The parameters that endpoints declare in their signatures."""

from typing import Annotated

from fastapi import Depends, Header, Path, Query

from service.api.request import Request
from service.models.repository import NAME

_TIMEOUT = Header(gt=0, description="Milliseconds until a 504; at most the service's own deadline.")
_ID = Header(pattern="^[A-Za-z0-9._-]{1,128}$", description="Returned as X-Request-ID, and logged.")


def _none() -> None:
    """No header fields. FastAPI reads these signatures for the document; no door calls them."""


def _timed(
    x_request_timeout_ms: Annotated[float | None, _TIMEOUT] = None,
    x_request_id: Annotated[str | None, _ID] = None,
) -> None:
    """The header fields that a request with a deadline reads itself."""


Current = Annotated[Request, Depends(_none)]  # the first parameter of every endpoint
Timed = Annotated[Request, Depends(_timed)]
"""The first parameter of an endpoint that has a deadline."""

VersionQuery = Annotated[
    str | None, Query(alias="version", description="The version to ask instead of the champion.")
]
IncludeQuery = Annotated[
    str | None,
    Query(
        description="`seen` adds what the model saw, `why` what each pixel adds to the confidence.",
        json_schema_extra={"enum": ["seen", "why", "seen,why", "why,seen"]},
    ),
]
ReadIncludeQuery = Annotated[
    str | None,
    Query(
        description="`probabilities` adds those of the ten digits to each digit.",
        json_schema_extra={"enum": ["probabilities"]},
    ),
]
AgainstQuery = Annotated[
    str | None,
    Query(
        description="The other digit of `otherwise`; by default the second likeliest.",
        json_schema_extra={"enum": [str(digit) for digit in range(10)]},
    ),
]
DatasetQuery = Annotated[
    str | None,
    Query(
        description="A data set that the service holds; then the request has no body.",
        json_schema_extra={"enum": ["mnist-test"]},
    ),
]
MistakesQuery = Annotated[
    str | None,
    Query(
        description="Most mistakes that are listed, and right images: 0 to 1000, by default 20.",
        json_schema_extra={"type": "integer", "minimum": 0, "maximum": 1000},
    ),
]
CountQuery = Annotated[
    str,
    Query(
        description="How many images, 1 to 100; 20 by default.",
        json_schema_extra={"type": "integer", "minimum": 1, "maximum": 100},
    ),
]
ModelPath = Annotated[
    str, Path(description="The name of the one model.", json_schema_extra={"enum": [NAME]})
]
VersionPath = Annotated[str, Path(description="The number of a version.", examples=["5"])]
LabelPath = Annotated[
    str, Path(description="The label of a version.", json_schema_extra={"enum": ["champion"]})
]
BinaryLength = Annotated[
    int | None,
    Header(
        alias="Inference-Header-Content-Length",
        ge=0,
        description="Bytes of JSON before the tensors; 0 if the body is one image of 784 bytes.",
    ),
]
