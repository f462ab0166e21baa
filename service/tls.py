"""TLS for ``serve``: reads the certificate, key and authority, and takes up renewed ones."""

import re
import ssl
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from service.observe.logs import LOGGER
from service.observe.metrics import Metrics
from service.settings import PREFIX, Settings

FOLLOW_SECONDS = 2.0  # the pause between two looks at the files
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
# The validity of a certificate in DER (RFC 5280, section 4.1.2.5): a sequence of two times.
_TIME = rb"(?:\x17\x0d(\d{12})|\x18\x0f(\d{14}))Z"
_VALIDITY = re.compile(rb"\x30[\x1e-\x22]" + _TIME + _TIME)


class TlsError(Exception):
    """The certificate, the key or the authority cannot be used; one line says why."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files held when they were read: as PEM, and as a context of :mod:`ssl`."""

    context: ssl.SSLContext
    expires: float  # in seconds since 1970
    pem: tuple[bytes, bytes, bytes | None]
    """The certificate and the chain above it, its key, and the authorities of clients, if any."""


class Tls(ssl.SSLContext):
    """The context with which the service listens: each new connection gets the ``current`` one."""

    current: Loaded
    _settings: Settings
    _metrics: Metrics
    _fault = ""  # why the files as they are now cannot be used

    @classmethod
    def of(cls, settings: Settings, metrics: Metrics) -> Self | None:
        """TLS as the settings want it, not yet loaded; None if they name no file."""
        if not any((settings.tls_cert, settings.tls_key, settings.tls_client_ca)):
            return None
        tls = cls(ssl.PROTOCOL_TLS_SERVER)
        tls._settings, tls._metrics = settings, metrics
        return tls

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """Begins a connection, as asyncio and uvloop ask for one."""
        return self.current.context.wrap_bio(*args, **options)

    def start(self) -> None:
        """Reads the files, and follows them from now on. Raises :class:`TlsError`."""
        self._take_up(load(self._settings))
        if self.current.expires < time.time():
            LOGGER.warning("the certificate has expired; callers will refuse it")
        threading.Thread(target=self._follow, name="tls", daemon=True).start()

    def look(self) -> None:
        """Takes up the files if they have changed; at a fault the old ones stay."""
        try:
            fresh, fault = load(self._settings), ""
        except TlsError as error:
            fresh, fault = self.current, str(error)
        if fresh.expires < time.time() < self.current.expires:
            fault = f"{self._settings.tls_cert}: the certificate has expired"
        if fault and fault != self._fault:
            self._fault = fault
            text = "the renewed certificate cannot be used; the one of before stays in use"
            LOGGER.error(text, extra={"reason": fault})
            self._metrics.set("certificate_fault", 1)
        elif not fault and (self._fault or fresh.pem != self.current.pem):
            self._take_up(fresh)

    def _follow(self) -> None:
        while True:
            time.sleep(FOLLOW_SECONDS)
            self.look()

    def _take_up(self, fresh: Loaded) -> None:
        self.current, self._fault = fresh, ""
        self._metrics.set("certificate_expire_timestamp_seconds", fresh.expires)
        self._metrics.set("certificate_fault", 0)
        expires = datetime.fromtimestamp(fresh.expires, UTC).isoformat()
        LOGGER.info("read the certificate", extra={"expires": expires})


def load(settings: Settings) -> Loaded:
    """Reads and checks the files that the settings name. Raises :class:`TlsError`."""
    cert, authority = settings.tls_cert, settings.tls_client_ca
    if cert is None:
        raise TlsError(f"{PREFIX}TLS_KEY and {PREFIX}TLS_CLIENT_CA need {PREFIX}TLS_CERT")
    key = settings.tls_key or cert
    pem = _read(cert), _read(key), None if authority is None else _read(authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=lambda: "")  # never asks a terminal
        first = _CERTIFICATE.findall(pem[0])[0]
        found = _VALIDITY.search(ssl.PEM_cert_to_DER_cert(first.decode()))
    except (OSError, ValueError, IndexError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise TlsError(f"{key}: the key does not belong to the certificate {cert}") from None
        raise TlsError(f"{cert}, {key}: no certificate with its unencrypted key, in PEM") from None
    if authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(authority)
        except OSError:
            raise TlsError(f"{authority}: no certificate in PEM") from None
    assert found is not None, "every certificate has its validity"
    form = "%y%m%d%H%M%S" if found[3] else "%Y%m%d%H%M%S"
    expires = datetime.strptime((found[3] or found[4]).decode(), form).replace(tzinfo=UTC)
    return Loaded(context, expires.timestamp(), pem)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"{path}: {error.strerror}") from None
