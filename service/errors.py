"""Everything that can go wrong with a request, and the one form in which it is told.

Domain code raises a :class:`Fault`; ``service.http.dispatch`` renders it. The tree::

    Fault
    ├── Malformed         400  the bytes are not what they say
    ├── NotFound          404  a path, version or data set that is not there
    ├── MethodNotAllowed  405  the path exists, the method does not
    ├── BodyTimeout       408  the body did not arrive in time
    ├── TooLarge          413  too many bytes, images or pixels
    ├── PathTooLong       414  the path and query are over the limit
    ├── UnsupportedType   415  a Content-Type or Content-Encoding not read here
    ├── Invalid           422  well-formed, but wrong in shape, type or range
    ├── HeadersTooLarge   431  the header fields are over the limit
    ├── QueueFull         429  no room in the queue
    ├── Unavailable       503  not ready, or draining
    └── DeadlineExceeded  504  the answer came too late to be worth giving
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

PROBLEM_TYPE = b"application/problem+json"


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with the input: which image (from 0, or None), which field, and what."""

    index: int | None
    field: str
    message: str


class Fault(Exception):
    """A request that cannot be answered; ``status`` and ``kind`` come from the class.

    ``detail`` is one sentence for the caller. ``flaws`` point at the faulty input.
    ``headers`` are sent along, such as ``Allow`` or ``Retry-After``.
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
        """The body of an RFC 9457 ``application/problem+json`` answer."""
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
    """The bytes are not what they say: broken JSON, damaged ``.npy``, gzip, IDX or picture."""

    status, kind = 400, "malformed"


class NotFound(Fault):
    """A path, a version or a data set that is not there."""

    status, kind = 404, "not-found"


class MethodNotAllowed(Fault):
    """The path exists, but not for this method; ``Allow`` lists those it has."""

    status, kind = 405, "method-not-allowed"


class BodyTimeout(Fault):
    """The body did not arrive in time."""

    status, kind = 408, "body-timeout"


class TooLarge(Fault):
    """Too many bytes, images or pixels."""

    status, kind = 413, "too-large"


class PathTooLong(Fault):
    """The path and query are longer than is read here."""

    status, kind = 414, "path-too-long"


class UnsupportedType(Fault):
    """A Content-Type or Content-Encoding that is not read here; the detail lists what is."""

    status, kind = 415, "unsupported-type"


class Invalid(Fault):
    """Well-formed input that is wrong in fields, shape, type, range or length."""

    status, kind = 422, "invalid"


class HeadersTooLarge(Fault):
    """The header fields are larger than is read here."""

    status, kind = 431, "headers-too-large"


class QueueFull(Fault):
    """The queue has no room; ``Retry-After`` says when it should."""

    status, kind = 429, "queue-full"


class Unavailable(Fault):
    """Not ready yet, or draining."""

    status, kind = 503, "unavailable"


class DeadlineExceeded(Fault):
    """The request's deadline passed before it was run."""

    status, kind = 504, "deadline-exceeded"


class MissingRuntime(ImportError):
    """ONNX Runtime is not installed; the message says what to install."""

    def __init__(self) -> None:
        super().__init__(
            "ONNX Runtime is not installed; run: pip install 'mnist-serve[cpu]' "
            "(or 'mnist-serve[gpu]' for CUDA)"
        )
