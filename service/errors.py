"""The faults of a request, and the one form in which an answer reports them.

Every part of the service raises a :class:`Fault`; the HTTP layer renders it. The first line of each
docstring is the description of its status in ``/openapi.json``.
"""

from dataclasses import asdict, dataclass
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
    """The service failed; its log has the reason.

    Each subclass is a fault of the request, with its own ``status`` and ``kind``. ``detail`` is one
    sentence for the caller. ``flaws`` name the faulty parts of the input. The answer also has the
    ``headers``, such as ``Allow`` or ``Retry-After``.
    """

    status: int = 500
    kind: str = "internal"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    rejection: str = ""  # the reason under which the doors count it among the rejected requests

    def __init__(
        self, detail: str, *flaws: Flaw, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.detail, self.flaws = detail, flaws
        self.headers = headers or self.headers

    def problem(self) -> dict[str, Any]:
        """Returns the body of an RFC 9457 ``application/problem+json`` answer."""
        body: dict[str, Any] = {
            "type": f"urn:mnist-serve:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        return body | {"errors": [asdict(flaw) for flaw in self.flaws]} if self.flaws else body


class Malformed(Fault):
    """The bytes do not have the declared format."""

    status, kind = 400, "malformed"


class Unauthorized(Fault):
    """The request has no key, or one that is not known, was revoked or has expired."""

    status, kind = 401, "unauthorized"


class Forbidden(Fault):
    """The key lacks the scope that this needs, or a page of another site sent the request."""

    status, kind = 403, "forbidden"


class NotFound(Fault):
    """The path, the version, the data set or the picture does not exist."""

    status, kind = 404, "not-found"


class MethodNotAllowed(Fault):
    """The path exists, but not for this method; Allow lists its methods."""

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
    """The service does not read this Content-Type or Content-Encoding; see the detail."""

    status, kind = 415, "unsupported-type"


class Invalid(Fault):
    """The input is well-formed, but has a wrong field, shape, type, range or length."""

    status, kind = 422, "invalid"


class HeadersTooLarge(Fault):
    """The header fields are larger than the limit."""

    status, kind = 431, "headers-too-large"


class Misdirected(Fault):
    """The Host field names a host that the service does not answer for."""

    status, kind = 421, "misdirected"


class QueueFull(Fault):
    """The queue or the store is full, or the caller's rate spent; see Retry-After."""

    status, kind = 429, "queue-full"


class BodiesFull(QueueFull):
    """The bodies that wait, or their work, leave no room for another of this caller."""

    headers, rejection = ((b"retry-after", b"2"),), "bodies_full"


class RateSpent(QueueFull):
    """The caller's rate is spent."""

    kind = "rate-spent"


class StoreFull(RateSpent):
    """The store has as many labels as it may, or as one caller may have."""

    kind, headers = "store-full", ((b"retry-after", b"3600"),)


class Unavailable(Fault):
    """The service is not ready, is draining, or its store is away; see Retry-After."""

    status, kind = 503, "unavailable"
    headers = ((b"retry-after", b"1"),)


class DeadlineExceeded(Fault):
    """The deadline passed before the answer was ready."""

    status, kind, rejection = 504, "deadline-exceeded", "deadline"


class MissingRuntime(ImportError):
    """ONNX Runtime is not installed; the message says what to install."""

    def __init__(self) -> None:
        super().__init__(
            "ONNX Runtime is not installed; run: pip install 'mnist-serve[cpu]' "
            "(or 'mnist-serve[gpu]' for CUDA)"
        )
