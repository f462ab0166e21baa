"""An authority of certificates, for the tests of TLS."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


class Authority:
    """Signs certificates for 127.0.0.1 and for clients."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        signed = self._signed(self._name, self._key, 3650, authority=True)
        self.certificate = signed.public_bytes(Encoding.PEM)

    def issue(self, name: str = "digits", days: float = 30) -> tuple[bytes, bytes]:
        """Returns a certificate and its key, in PEM; it expires in so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self._signed(subject, key, days).public_bytes(Encoding.PEM), pem

    def client(self, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
        """Returns the context of a client who trusts this authority, and may have a certificate."""
        context = ssl.create_default_context(cadata=self.certificate.decode())
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        return context

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        days: float,
        *,
        authority: bool = False,
    ) -> x509.Certificate:
        end = datetime.now(UTC) + timedelta(days=days)
        public = key.public_key()
        builder = x509.CertificateBuilder(self._name, subject, public, x509.random_serial_number())
        builder = builder.not_valid_before(end - timedelta(days=3651)).not_valid_after(end)
        address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        usage = x509.KeyUsage(*(not authority, *4 * [False], *2 * [authority], False, False))
        own, above = map(
            x509.SubjectKeyIdentifier.from_public_key, (public, self._key.public_key())
        )
        for extension, critical in (
            (address, False),
            (usage, True),
            (own, False),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), False),
            (x509.BasicConstraints(ca=authority, path_length=None), True),
        ):
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256())
