"""How the process holds its memory, on real pages."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.digits import images
from tests.server import Server, serving
from tests.tiny import tiny_repository

MIB = 1 << 20

PAGES_OF_TWENTY_ROUNDS = """
import resource
from service.background import memory
memory.keep_freed()

def round():
    bodies = [bytes([1]) * 200_000 for _ in range(20)]

round()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    round()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="these are glibc's knobs")
def test_bodies_that_come_and_go_take_no_new_pages() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PAGES_OF_TWENTY_ROUNDS], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 1000, "4 MB are some 1,000 pages, in each of 20 rounds"


def resident_bytes(server: Server) -> int:
    text = Path(f"/proc/{server.process.pid}/statm").read_text()
    return int(text.split()[1]) * resource.getpagesize()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_connections_that_are_kept_hold_no_bodies_and_no_answers(tmp_path: Path) -> None:
    body = images(2000).tobytes()
    with serving(tiny_repository(tmp_path), tmp_path / "log") as server, ExitStack() as kept:

        def ask(times: int) -> None:
            for _ in range(times):
                connection = HTTPConnection(server.host, server.port, timeout=30)
                kept.callback(connection.close)
                head = {"Content-Type": "application/octet-stream"}
                connection.request("POST", "/predict", body, head)
                assert connection.getresponse().read().startswith(b'{"model"')

        ask(10)
        before = resident_bytes(server)
        ask(60)
        assert resident_bytes(server) - before < 15 * MIB, "an answer is 0.5 MB"
