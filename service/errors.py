"""The faults of a request, and the one form in which an answer reports them.

Every part of the service raises a :class:`Fault`; the HTTP layer renders it. The first line of each
docstring is the description of its status in ``/openapi.json``.
"""

import re
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

    Each subclass is a fault of the request, with its own ``status``. ``detail`` is one sentence for
    the caller. ``flaws`` name the faulty parts of the input. The answer also has the ``headers``.
    """

    status: int = 500
    kind: str = "internal"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    rejection: str = ""  # the reason under which the doors count it among the rejected requests

    def __init_subclass__(cls, status: int | None = None) -> None:
        """Sets the ``status``, and the ``kind`` after the name of the class."""
        if status is not None:
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__)
            cls.status, cls.kind = status, words.lower()

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


class Malformed(Fault, status=400):
    """The bytes do not have the declared format."""


class Unauthorized(Fault, status=401):
    """The request has no key, or one that is not known, was revoked or has expired."""


class Forbidden(Fault, status=403):
    """The key lacks the scope that this needs, or a page of another site sent the request."""


class NotFound(Fault, status=404):
    """The path, the version, the data set or the picture does not exist."""


class MethodNotAllowed(Fault, status=405):
    """The path exists, but not for this method; Allow lists its methods."""


class BodyTimeout(Fault, status=408):
    """The body did not arrive in time."""


class TooLarge(Fault, status=413):
    """The request has too many bytes, images or pixels."""


class PathTooLong(Fault, status=414):
    """The path and query are longer than the limit."""


class UnsupportedType(Fault, status=415):
    """The service does not read this Content-Type or Content-Encoding; see the detail."""


class Invalid(Fault, status=422):
    """The input is well-formed, but has a wrong field, shape, type, range or length."""


class HeadersTooLarge(Fault, status=431):
    """The header fields are larger than the limit."""


class Misdirected(Fault, status=421):
    """The Host field names a host that the service does not answer for."""


class QueueFull(Fault, status=429):
    """The queue or the store is full, or the caller's rate spent; see Retry-After."""


class BodiesFull(QueueFull):
    """The bodies that wait, or their work, leave no room for another of this caller."""

    headers, rejection = ((b"retry-after", b"2"),), "bodies_full"


class RateSpent(QueueFull, status=429):
    """The caller's rate is spent."""


class StoreFull(RateSpent, status=429):
    """The store has as many labels as it may, or as one caller may have."""

    headers = ((b"retry-after", b"3600"),)


class Unavailable(Fault, status=503):
    """The service is not ready, is draining, or its store is away; see Retry-After."""

    headers = ((b"retry-after", b"1"),)


class DeadlineExceeded(Fault, status=504):
    """The deadline passed before the answer was ready."""

    rejection = "deadline"


class Explained(Exception):
    """A command cannot go on; one line says why."""


class MissingRuntime(Explained, ImportError):
    """ONNX Runtime is not installed; the message says what to install."""

    def __init__(self) -> None:
        packages = "'mnist-serve[cpu]' (or 'mnist-serve[gpu]' for CUDA)"
        super().__init__(f"ONNX Runtime is not installed; run: pip install {packages}")
