"""The faults of a request, and the one form in which an answer reports them.

Every part of the service raises a :class:`Fault`; the HTTP layer renders it. The tree::

    Fault
    ├── Malformed         400  the bytes do not have the declared format
    ├── NotFound          404  the path, version or data set does not exist
    ├── MethodNotAllowed  405  the path exists, the method does not
    ├── BodyTimeout       408  the body did not arrive in time
    ├── TooLarge          413  the request has too many bytes, images or pixels
    ├── PathTooLong       414  the path and query are longer than the limit
    ├── UnsupportedType   415  the Content-Type or Content-Encoding is not supported
    ├── Invalid           422  the input has a wrong shape, type or range
    ├── HeadersTooLarge   431  the header fields are larger than the limit
    ├── QueueFull         429  the queue has no room
    ├── Unavailable       503  the service is not ready, or is draining
    └── DeadlineExceeded  504  the deadline passed before the answer was ready
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

PROBLEM_TYPE = b"application/problem+json"


@dataclass(frozen=True, slots=True)
class Flaw:
    """One fault in the input: the image's number (from 0, or None), the field, what is wrong."""

    index: int | None
    field: str
    message: str


class Fault(Exception):
    """A request that the service rejects; the class sets ``status`` and ``kind``.

    ``detail`` is one sentence for the caller. ``flaws`` name the faulty parts of the input. The
    answer also has the ``headers``, such as ``Allow`` or ``Retry-After``.
    """

    status: int = 500
    kind: str = "internal"

    def __init__(
        self, detail: str, *flaws: Flaw, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.flaws = flaws
        self.headers = headers

    def problem(self) -> dict[str, Any]:
        """Returns the body of an RFC 9457 ``application/problem+json`` answer."""
        body: dict[str, Any] = {
            "type": f"urn:mnist-serve:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.flaws:
            body["errors"] = [
                {"index": f.index, "field": f.field, "message": f.message} for f in self.flaws
            ]
        return body


class Malformed(Fault):
    """The bytes do not have the declared format: damaged JSON, ``.npy``, gzip, IDX or picture."""

    status, kind = 400, "malformed"


class NotFound(Fault):
    """The path, the version or the data set does not exist."""

    status, kind = 404, "not-found"


class MethodNotAllowed(Fault):
    """The path exists, but not for this method; ``Allow`` lists its methods."""

    status, kind = 405, "method-not-allowed"


class BodyTimeout(Fault):
    """The body did not arrive in time."""

    status, kind = 408, "body-timeout"


class TooLarge(Fault):
    """The request has too many bytes, images or pixels."""

    status, kind = 413, "too-large"


class PathTooLong(Fault):
    """The path and query are longer than the limit."""

    status, kind = 414, "path-too-long"


class UnsupportedType(Fault):
    """The Content-Type or Content-Encoding is not supported; the detail lists those that are."""

    status, kind = 415, "unsupported-type"


class Invalid(Fault):
    """The input is well-formed, but has a wrong field, shape, type, range or length."""

    status, kind = 422, "invalid"


class HeadersTooLarge(Fault):
    """The header fields are larger than the limit."""

    status, kind = 431, "headers-too-large"


class QueueFull(Fault):
    """The queue has no room; ``Retry-After`` estimates when it will."""

    status, kind = 429, "queue-full"


class Unavailable(Fault):
    """The service is not ready yet, or is draining."""

    status, kind = 503, "unavailable"


class DeadlineExceeded(Fault):
    """The request's deadline passed before the answer was ready."""

    status, kind = 504, "deadline-exceeded"


class MissingRuntime(ImportError):
    """ONNX Runtime is not installed; the message says what to install."""

    def __init__(self) -> None:
        super().__init__(
            "ONNX Runtime is not installed; run: pip install 'mnist-serve[cpu]' "
            "(or 'mnist-serve[gpu]' for CUDA)"
        )
