"""What strangers send to have the service spend memory or time on little."""

from __future__ import annotations

import gzip
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.digits import images
from tests.server import Server, serving, wait_until

NESTED = gzip.compress(gzip.compress(bytes(96 << 20), mtime=0), mtime=0)
UNFINISHED = b"GET / HTTP/1.1\r\nX: " + b"a" * 60_000
LARGEST = "/docs/swagger-ui-bundle.js"
MIB = 1 << 20


def peak_bytes(server: Server) -> int:
    """The most memory that the process has held."""
    told = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", told)
    assert found is not None
    return int(found[1]) << 10


def cpu_seconds(server: Server) -> float:
    """The time that the process has computed."""
    told = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def test_eight_bodies_of_nested_gzip_take_no_memory(server: Server) -> None:
    assert len(NESTED) < 400

    def send(number: int) -> int:
        fields = {"Content-Encoding": "gzip, gzip"}
        return server.post("/evaluate", NESTED, headers=fields).status

    send(0)
    before = peak_bytes(server)
    with ThreadPoolExecutor(8) as senders:
        assert set(senders.map(send, range(8))) == {415}
    assert peak_bytes(server) - before < 5 * MIB


def test_a_deadline_ends_the_inflating_of_a_body(server: Server) -> None:
    body, encoded = gzip.compress(bytes(90 << 20), 1), {"Content-Encoding": "gzip"}

    def cpu(status: int, **field: str) -> float:
        before = cpu_seconds(server)
        for _ in range(3):
            answer = server.post("/evaluate", body, "application/json", encoded | field)
            assert answer.status == status
        return cpu_seconds(server) - before

    assert cpu(504, **{"X-Request-Timeout-Ms": "1"}) < cpu(400) / 6


@pytest.mark.slow
def test_a_test_set_that_was_scored_costs_next_to_nothing_again(server: Server) -> None:
    target = "/evaluate?dataset=mnist-test"
    assert server.request("POST", target).status == 200
    kept, before = server.keep(), cpu_seconds(server)
    for _ in range(50):
        kept.request("POST", target)
        assert kept.getresponse().read().startswith(b'{"model"')
    kept.close()
    assert cpu_seconds(server) - before < 0.5, "scored anew it would be 50 times as much"


def test_heads_that_do_not_end_cost_little(server: Server) -> None:
    before = cpu_seconds(server)
    with ExitStack() as kept:
        for _ in range(300):
            kept.enter_context(server.connect()).sendall(UNFINISHED)
        assert server.get("/health/live").status == 200
        assert cpu_seconds(server) - before < 0.4


def test_answers_that_nobody_reads_are_bounded(protocol_models: Path, tmp_path: Path) -> None:
    """Each connection would hold 1.7 MB, the second of its answers; the kernel holds the first."""
    asks = f"GET {LARGEST} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 3
    flags = "--max-waiting-bytes", str(16 * MIB)
    with serving(protocol_models, tmp_path / "log", *flags) as server:
        whole, before = len(server.get(LARGEST).body), peak_bytes(server)
        with ExitStack() as kept:
            silent = [kept.enter_context(socket.socket()) for _ in range(150)]
            for connection in silent:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect((server.host, server.port))
                connection.sendall(asks)
            assert len(server.get(LARGEST).body) == whole
            opened = Path(f"/proc/{server.process.pid}/fd")
            wait_until(lambda: len(list(opened.iterdir())) < 40)
            assert peak_bytes(server) - before < 100 * MIB
        body = images(2000).tobytes()  # what they held is free again
        wait_until(lambda: server.post("/predict", body, "application/octet-stream").status == 200)
