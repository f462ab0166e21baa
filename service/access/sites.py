"""Requests that a page of another site makes a browser send, and CORS for those that are named.

Sources: the Fetch standard (``Sec-Fetch-Site``, ``Origin``, CORS), and the rule of Go's
``net/http.CrossOriginProtection``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.errors import Forbidden
from service.settings import PREFIX, Settings

Headers = tuple[tuple[bytes, bytes], ...]

_PLAIN = ("GET", "HEAD", "OPTIONS")
_EXPOSED = (
    b"X-Request-ID, Server-Timing, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate, "
    b"X-Model-Version, Inference-Header-Content-Length"
)
_PREFLIGHT_SECONDS = b"600"


class Sites:
    """The rule of ``MNIST_CORS_ORIGINS``."""

    def __init__(self, settings: Settings) -> None:
        self._origins = frozenset(origin.encode() for origin in settings.cors_origins)

    def check(self, method: str, fields: Mapping[bytes, bytes]) -> Headers:
        """The header fields that the answer to a browser's request must have.

        Raises :class:`Forbidden` for a request of another site that could do more than read.
        """
        origin = fields.get(b"origin")
        if origin is not None and not self._origins.isdisjoint((origin.lower(), b"*")):
            return (
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", _EXPOSED),
                (b"vary", b"Origin"),
            )
        if method in _PLAIN:
            return ()
        site = fields.get(b"sec-fetch-site")
        if site is not None:
            is_foreign = site not in (b"same-origin", b"none")
        else:
            own = fields.get(b"host", b"").lower()
            is_foreign = origin is not None and origin.partition(b"://")[2].lower() != own
        if is_foreign:
            named = (origin or b"its origin").decode("latin-1")[:80]
            raise Forbidden(
                "a page of another site may not send this; "
                f"{PREFIX}CORS_ORIGINS={named} would allow it"
            )
        return ()


def preflight(fields: Mapping[bytes, bytes], methods: Sequence[str]) -> Headers:
    """The header fields that answer a preflight request for a path with these methods."""
    asked = fields.get(b"access-control-request-headers", b"")
    return (
        (b"access-control-allow-methods", ", ".join(methods).encode()),
        (b"access-control-allow-headers", asked),
        (b"access-control-max-age", _PREFLIGHT_SECONDS),
    )
