"""What every request is checked against, through whichever door it came, before its endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from service.access.key_file import KeyFile
from service.access.keys import Key
from service.access.sites import Sites
from service.errors import Forbidden, Unauthorized
from service.observe.metrics import Metrics
from service.settings import PREFIX, Scope, Settings

SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
OPEN_WITHOUT_KEYS: frozenset[Scope] = frozenset(("predict", "evaluate", "metrics"))
_CHALLENGE = b'Bearer realm="mnist-serve"'


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
        """The key with which a request comes to a port; None if it has none and needs none.

        Raises :class:`Unauthorized`, or :class:`Forbidden` if the key lacks the scope.
        """
        if scope not in self.checked:
            return None
        if scope in self._apart and port != self._admin_port:
            raise Forbidden(f"the scope {scope!r} is for the port {PREFIX}ADMIN_PORT alone")
        sent = x_api_key
        if authorization is not None and authorization[:7].lower() == b"bearer ":
            sent = authorization[7:]
        if sent is None:
            if scope in self.open:
                return None
            raise self._refused(scope, _CHALLENGE, f"this needs a key with the scope {scope!r}")
        key = None if self.keys is None else self.keys.find(sent)
        if key is None:
            why = "the key is not known here, was revoked, or has expired"
            raise self._refused(scope, _CHALLENGE + b', error="invalid_token"', why)
        if scope not in key.scopes and scope not in self.open:
            challenge = b'%b, error="insufficient_scope", scope="%b"'
            fields = ((b"www-authenticate", challenge % (_CHALLENGE, scope.encode())),)
            why = f"the key {key.name!r} lacks the scope {scope!r}; {self._opens(scope)}"
            raise Forbidden(why, headers=fields)
        return key

    def reload(self) -> None:
        """Reads the file of keys again, whether it has changed or not."""
        if self.keys is not None:
            self.keys.look(again=True)

    def _refused(self, scope: Scope, challenge: bytes, why: str) -> Unauthorized:
        fields = ((b"www-authenticate", challenge),)
        return Unauthorized(f"{why}; {self._opens(scope)}", headers=fields)

    def _opens(self, scope: Scope) -> str:
        """What an operator can do to let a caller in."""
        where = f" in a file that {PREFIX}KEYS names" if self.keys is None else ""
        return (
            f"`keys add NAME --scope {scope}` makes a key with it{where}, and {PREFIX}OPEN={scope} "
            "lets everybody in"
        )
