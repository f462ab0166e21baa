"""The files of TLS: what is wrong with them is told in one line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from service.settings import Settings
from service.tls import TlsError, load
from tests.certificates import Authority

ENCRYPTED = b"""-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF

aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8=
-----END EC PRIVATE KEY-----
"""
DAY = 86_400


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    authority = Authority()
    names = "tls_cert", "tls_key", "tls_client_ca"
    paths = {name: tmp_path / name for name in names}
    for path, content in zip(
        paths.values(), (*authority.issue(days=30), authority.certificate), strict=True
    ):
        path.write_bytes(content)
    return Settings(**paths)


@pytest.mark.parametrize("days", [-400, 0.5, 30, 40 * 365])
def test_the_end_of_the_certificate_is_read(settings: Settings, days: float) -> None:
    """From 2050 on, a certificate writes its times in another form (RFC 5280, 4.1.2.5)."""
    assert settings.tls_cert
    chain = b"".join(Authority().issue(days=days)) + Authority().certificate
    settings.tls_cert.write_bytes(chain)
    loaded = load(Settings(tls_cert=settings.tls_cert))
    assert abs(loaded.expires - time.time() - days * DAY) < 60
    assert loaded.pem == (chain, chain, None)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tls_key", b"another's", "does not belong to the certificate"),
        ("tls_cert", b"", "no certificate with its unencrypted key"),
        ("tls_cert", b"no PEM", "no certificate with its unencrypted key"),
        ("tls_cert", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no cert"),
        ("tls_key", b"", "no certificate with its unencrypted key"),
        ("tls_key", ENCRYPTED, "unencrypted key"),
        ("tls_key", None, "No such file"),
        ("tls_client_ca", b"no PEM", "no certificate in PEM"),
        ("tls_client_ca", None, "No such file"),
    ],
)
def test_a_wrong_file_is_named(
    settings: Settings, name: str, content: bytes | None, words: str
) -> None:
    path: Path = getattr(settings, name)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(Authority().issue()[1] if content == b"another's" else content)
    with pytest.raises(TlsError, match=words) as fault:
        load(settings)
    assert str(path) in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_folder_is_no_key(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(TlsError, match="Is a directory"):
        load(settings.model_copy(update={"tls_key": tmp_path}))


@pytest.mark.parametrize("name", ["tls_key", "tls_client_ca"])
def test_a_key_or_an_authority_needs_a_certificate(settings: Settings, name: str) -> None:
    with pytest.raises(TlsError, match="need MNIST_TLS_CERT"):
        load(Settings(**{name: settings.tls_cert}))
