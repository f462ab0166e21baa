"""TLS and mutual TLS at ``serve``: what a caller sees, renewed files, and files that are wrong."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.digits import images
from tests.problems import check_problem
from tests.server import Server, parse_answers, read_all, serving, wait_until
from tests.tiny import tiny_repository

RAW = "application/octet-stream"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass
class Files:
    """The files of a service: a certificate with its key, and the authority of its clients."""

    folder: Path
    authority: Authority

    def __post_init__(self) -> None:
        self.cert, self.key = self.folder / "tls.crt", self.folder / "tls.key"
        self.client_ca = self.folder / "ca.crt"
        self.flags = ("--tls-cert", str(self.cert), "--tls-key", str(self.key))
        self.client_ca.write_bytes(self.authority.certificate)

    def write(self, name: str = "digits", days: float = 30) -> None:
        """Writes a new certificate and key, as renewing tools do: each renamed into place."""
        for path, content in zip(
            (self.cert, self.key), self.authority.issue(name, days), strict=True
        ):
            fresh = path.with_suffix(".fresh")
            fresh.write_bytes(content)
            fresh.replace(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    made = Files(tmp_path_factory.mktemp("files"), Authority())
    made.write()
    return made


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_repository(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(models: Path, files: Files) -> Iterator[Server]:
    tls = files.authority.client()
    bounds = "--max-body-bytes", "200000", "--keep-alive-s", "20"
    with serving(models, files.folder / "log", *files.flags, *bounds, tls=tls) as running:
        yield running


def shown(server: Server) -> str:
    """The name in the certificate that a new connection is shown."""
    with server.connect() as connection:
        assert isinstance(connection, ssl.SSLSocket)
        certificate = connection.getpeercert()
        assert certificate
        names = certificate["subject"]
    return str(names[0][0][1])


def test_it_answers_with_tls_as_without(server: Server, files: Files) -> None:
    assert '"url":"https://127.0.0.1:' in server.stderr()
    body = images(200).tobytes()
    answer = server.post("/predict", body, RAW)
    assert len(answer.json()["predictions"]) == 200
    with server.connect() as connection:
        connection.sendall(500 * LIVE + LIVE[:-2] + b"Connection: close\r\n\r\n")
        answers = parse_answers(read_all(connection))
    assert [answer.status for answer in answers] == 501 * [200]
    expires = server.metric("mnist_certificate_expire_timestamp_seconds")
    assert 29 * 86400 < expires - time.time() < 31 * 86400


def test_the_rest_of_a_refused_body_is_read(server: Server) -> None:
    with server.connect() as connection:
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        connection.sendall(head + b"Content-Length: 3000000\r\n\r\n" + bytes(3_000_000))
        check_problem(parse_answers(read_all(connection))[0], 413)


@pytest.mark.parametrize("sent", [LIVE, b"nonsense", b"\x16\x03\x01\x02\x00\x01"])
def test_who_speaks_no_tls_is_not_left_waiting(server: Server, sent: bytes) -> None:
    with socket.create_connection((server.host, server.port), 20) as connection:
        connection.sendall(sent)
        if sent.startswith(b"\x16"):
            connection.shutdown(socket.SHUT_WR)
        assert b"HTTP" not in read_all(connection)
    assert server.get("/health/live").status == 200


def test_renewed_files_are_taken_up_and_no_connection_is_dropped(
    server: Server, files: Files
) -> None:
    kept = http.client.HTTPSConnection(server.host, server.port, context=server.tls)
    before = shown(server)
    for name, days in (("second", 60.0), ("third", 90.0)):
        files.write(name, days)
        wait_until(lambda expected=name: shown(server) == expected, 60)
        kept.request("GET", "/health/live")
        answer = kept.getresponse()
        assert answer.read() == b'{"status":"live"}'
        expires = server.metric("mnist_certificate_expire_timestamp_seconds")
        assert abs(expires - time.time() - days * 86400) < 3600
    kept.close()
    assert before != "third"


@pytest.mark.parametrize("fault", ["mismatch", "damaged", "missing", "expired"])
def test_renewed_files_that_are_wrong_change_nothing(
    server: Server, files: Files, fault: str
) -> None:
    name, expires = shown(server), server.metric("mnist_certificate_expire_timestamp_seconds")
    if fault == "mismatch":
        files.key.write_bytes(files.authority.issue()[1])
    elif fault == "damaged":
        files.cert.write_bytes(files.cert.read_bytes()[:300])
    elif fault == "missing":
        files.cert.unlink()
    else:
        files.write("late", days=-1)
    wait_until(lambda: server.metric("mnist_certificate_fault") == 1, 60)
    assert "the renewed certificate cannot be used" in server.stderr()
    assert shown(server) == name
    assert server.metric("mnist_certificate_expire_timestamp_seconds") == expires
    files.write(f"after {fault}")
    wait_until(lambda: shown(server) == f"after {fault}", 60)
    assert server.metric("mnist_certificate_fault") == 0


def test_mutual_tls_answers_only_who_has_a_certificate(models: Path, files: Files) -> None:
    flags = (*files.flags, "--tls-client-ca", str(files.client_ca))
    good, other = files.folder / "good.pem", files.folder / "other.pem"
    good.write_bytes(b"".join(files.authority.issue("caller")))
    other.write_bytes(b"".join(Authority().issue("stranger")))
    known = files.authority.client(good)
    with serving(models, files.folder / "log", *flags, tls=known) as server:
        assert server.get("/health/live").status == 200
        for stranger in (files.authority.client(), files.authority.client(other)):
            server.tls = stranger
            with pytest.raises((ssl.SSLError, OSError)):
                server.get("/health/live")
        server.tls = known
        assert server.get("/health/live").status == 200


def test_an_expired_certificate_is_served_and_warned_of(models: Path, files: Files) -> None:
    """A caller can ignore that; from a service that does not start nobody gets an answer."""
    files.write(days=-1)
    careless = files.authority.client()
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    with serving(models, files.folder / "log", *files.flags, tls=careless) as server:
        assert server.get("/health/live").status == 200
        assert "the certificate has expired" in server.stderr()
        assert server.metric("mnist_certificate_expire_timestamp_seconds") < time.time()


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_wrong_files_stop_the_start_with_one_line(
    models: Path, files: Files, tmp_path: Path, workers: str
) -> None:
    flags = ("--models", str(models), "--workers", workers, "--tls-cert", str(files.cert))
    command = [sys.executable, "-m", "service", "--port", "0", *flags]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(f"serve: {files.cert}, {files.cert}: no cert")
    assert "raceback" not in ended.stderr


@pytest.mark.slow
def test_every_worker_takes_up_renewed_files(models: Path, files: Files) -> None:
    files.write("first")
    tls = files.authority.client()
    flags = (*files.flags, "--workers", "2")
    with serving(models, files.folder / "log", *flags, tls=tls) as server:
        wait_until(lambda: server.metric("mnist_workers") == 2, 60)
        files.write("second")
        wait_until(lambda: {shown(server) for _ in range(20)} == {"second"}, 60)
