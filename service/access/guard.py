"""What every request is checked against, through whichever door it came, before its endpoint."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import get_args

from service.access.keys import Key, KeyFile
from service.errors import Fault, Forbidden, Misdirected, Unauthorized
from service.observe.metrics import Metrics
from service.settings import PREFIX, Scope, Settings

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
    """The rules of ``MNIST_ALLOWED_HOSTS`` and ``MNIST_CORS_ORIGINS``.

    A host of others gets 421, against DNS rebinding; the rest follows the Fetch standard
    (``Sec-Fetch-Site``, ``Origin``, CORS) and Go's ``net/http.CrossOriginProtection``.
    """

    def __init__(self, settings: Settings) -> None:
        self._is_default = not settings.allowed_hosts
        default = _LOOPBACK if _is_loopback(settings.host) else ("*",)
        self._hosts = settings.allowed_hosts or default
        self._origins = frozenset(origin.encode() for origin in settings.cors_origins)
        self.known: set[bytes] | None = None if "*" in self._hosts else set()
        """The Host fields that passed before, so that a request costs one look-up; None: all."""

    def _check_host(self, host: bytes | None, server: str) -> None:
        if self.known is None or host is None or host in self.known:
            return
        found = _HOST.fullmatch(host.decode("latin-1").lower())
        name = found[1].removesuffix(".") if found else ""
        below = (name.endswith(each[1:]) for each in self._hosts if each.startswith("*."))
        # By the address at which they reach the service, kubelet and Prometheus ask.
        if name not in self._hosts and not any(below) and name.strip("[]") != server:
            if self._is_default and server and not _is_loopback(server):
                return
            raise Misdirected(
                f"the service does not answer for the host {host.decode('latin-1')[:80]!r}; "
                f"{PREFIX}ALLOWED_HOSTS lists the hosts that it answers for"
            )
        if len(self.known) < _MOST_KNOWN:
            self.known.add(host)

    def check(self, method: str, fields: Mapping[bytes, bytes], server: str) -> Headers:
        """Checks the fields that browsers set; returns the answer's; or Misdirected, Forbidden."""
        self._check_host(fields.get(b"host"), server)
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
    return (
        (b"access-control-allow-methods", ", ".join(methods).encode()),
        (b"access-control-allow-headers", fields.get(b"access-control-request-headers", b"")),
        (b"access-control-max-age", b"600"),
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
OPEN_WITHOUT_KEYS: frozenset[Scope] = frozenset(("predict", "evaluate", "metrics"))


class Access:
    """The rules of one worker. Raises :class:`SettingsError` if the file of keys cannot be used."""

    def __init__(self, settings: Settings, shared: Path | None, metrics: Metrics) -> None:
        kept = None if shared is None else shared / "keys"
        self.keys = None if settings.keys is None else KeyFile(settings.keys, kept, metrics)
        default = OPEN_WITHOUT_KEYS if self.keys is None else frozenset()
        self.open: frozenset[Scope] = default if settings.open is None else settings.open
        self._admin_port = settings.admin_port
        self._apart = frozenset[Scope](("admin", "metrics") if self._admin_port else ())
        self.checked = (SCOPES - self.open if self.keys is None else SCOPES) | self._apart
        """The scopes whose requests :meth:`check` has to look at."""
        self.sites = Sites(settings)

    def check(
        self, scope: Scope, authorization: bytes | None, x_api_key: bytes | None, port: int = 0
    ) -> Key | None:
        """The key of a request to a port, None if it needs none; else Unauthorized or Forbidden."""
        if scope not in self.checked:
            return None
        if scope in self._apart and port != self._admin_port:
            raise Forbidden(f"the scope {scope!r} is for the port {PREFIX}ADMIN_PORT alone")
        sent = x_api_key
        if authorization is not None and authorization[:7].lower() == b"bearer ":
            sent = authorization[7:]
        key = None if sent is None or self.keys is None else self.keys.find(sent)
        if key is not None and scope in key.scopes:
            return key
        if scope in self.open and (key is not None or sent is None):
            return key
        if sent is None:
            why = f"this needs a key with the scope {scope!r}"
            raise self._refused(Unauthorized, scope, b"", why)
        if key is None:
            why = "the key is not known here, was revoked, or has expired"
            raise self._refused(Unauthorized, scope, b', error="invalid_token"', why)
        why = f"the key {key.name!r} lacks the scope {scope!r}"
        error = b', error="insufficient_scope", scope="%b"' % scope.encode()
        raise self._refused(Forbidden, scope, error, why)

    def _refused(self, kind: type[Fault], scope: Scope, error: bytes, why: str) -> Fault:
        fields = ((b"www-authenticate", b'Bearer realm="mnist-serve"' + error),)
        return kind(f"{why}; {self._opens(scope)}", headers=fields)

    def _opens(self, scope: Scope) -> str:
        """What an operator can do to let a caller in."""
        where = f" in a file that {PREFIX}KEYS names" if self.keys is None else ""
        return (
            f"`keys add NAME --scope {scope}` makes a key with it{where}, and {PREFIX}OPEN={scope} "
            "lets everybody in"
        )
