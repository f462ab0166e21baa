"""The hosts that the service answers for, and the requests that other sites' pages send to it.

A host of others gets 421, against DNS rebinding. Sources for the rest: the Fetch standard
(``Sec-Fetch-Site``, ``Origin``, CORS), and the rule of Go's ``net/http.CrossOriginProtection``.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from service.errors import Forbidden, Misdirected
from service.settings import PREFIX, Settings

Headers = tuple[tuple[bytes, bytes], ...]

_LOOPBACK = ("localhost", "*.localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(\[.*\]|[^:]*)(:\d*)?")
_MOST_KNOWN = 256
_PLAIN = ("GET", "HEAD", "OPTIONS")
_EXPOSED = (
    b"X-Request-ID, Server-Timing, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate, "
    b"X-Model-Version, Inference-Header-Content-Length"
)


class Sites:
    """The rules of ``MNIST_ALLOWED_HOSTS`` and ``MNIST_CORS_ORIGINS``."""

    def __init__(self, settings: Settings) -> None:
        default = _LOOPBACK if _is_loopback(settings.host) else ("*",)
        self._is_default = not settings.allowed_hosts
        self._hosts = settings.allowed_hosts or default
        self._origins = frozenset(origin.encode() for origin in settings.cors_origins)
        self.known: set[bytes] | None = None if "*" in self._hosts else set()
        """The Host fields that passed before, so that a request costs one look-up; None: all."""

    def check(self, method: str, fields: Mapping[bytes, bytes], server: str) -> Headers:
        """Checks the fields that browsers set; returns those that the answer must have.

        ``server`` is where the request arrived, if the door knows it and the settings do not.
        Raises :class:`Misdirected` for a host of others, and :class:`Forbidden` for a request of
        another site's page that could do more than read.
        """
        self._check_host(fields.get(b"host"), server)
        return self._check_page(method, fields)

    def _check_host(self, host: bytes | None, server: str) -> None:
        if self.known is None or host is None or host in self.known:
            return
        found = _HOST.fullmatch(host.decode("latin-1").lower())
        name = found[1].removesuffix(".") if found else ""
        below = (name.endswith(each[1:]) for each in self._hosts if each.startswith("*."))
        if name not in self._hosts and not any(below) and not _is_own(name):
            if self._is_default and server and not _is_loopback(server):
                return
            raise Misdirected(
                f"the service does not answer for the host {host.decode('latin-1')[:80]!r}; "
                f"{PREFIX}ALLOWED_HOSTS lists the hosts that it answers for"
            )
        if len(self.known) < _MOST_KNOWN:
            self.known.add(host)

    def _check_page(self, method: str, fields: Mapping[bytes, bytes]) -> Headers:
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
        (b"access-control-max-age", b"600"),
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_own(name: str) -> bool:
    """Whether the name is an IP address of this machine: kubelet and Prometheus ask by that.

    A rebinding page never does, since its own name is in the Host field.
    """
    try:
        address = ip_address(name.strip("[]"))
        if address.is_unspecified or address.is_multicast:
            return False
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except (ValueError, OSError):
        return False
    return True
