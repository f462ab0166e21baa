"""The clock of the machine jumps, by libfaketime: no answer, label or limit depends on it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.digits import images
from tests.server import EVERYTHING, Server, serving, wait_until
from tests.tiny import tiny_repository

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
RAW = "application/octet-stream"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        LIBRARY is None, reason="needs libfaketime; on Debian: apt install faketime"
    ),
]


def ask(server: Server, name: str, count: int = 1) -> int:
    pixels = images(count, seed=int(name)).tobytes()
    began = time.monotonic()
    answer = server.post("/predict", pixels, RAW, {"X-Request-ID": name})
    assert time.monotonic() - began < 5
    return answer.status


def label(server: Server, name: str) -> int:
    body = json.dumps({"request_id": name, "digit": 3}).encode()
    return server.post("/feedback", body).status


def test_a_clock_that_jumps_loses_nothing_and_refuses_nobody(tmp_path: Path) -> None:
    models = tiny_repository(tmp_path / "models", versions=(1,), champion=1)
    clock = tmp_path / "clock"

    def jump(offset: str) -> None:
        staged = tmp_path / "staged"
        staged.write_text(offset)
        staged.replace(clock)

    jump("+0")
    faked = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # as on a real machine
    }
    store = ("--store", f"sqlite:///{tmp_path}/store.sqlite", "--capture", "1")
    flags = (*EVERYTHING, *store, "--rate", "50")
    with serving(models, tmp_path / "log", *flags, environment=faked) as server:
        names = []
        for days in (0, -2, 20, -400, 0):
            jump(f"{days:+}d")
            names.append(str(1000 + days))
            assert ask(server, names[-1]) == 200
            wait_until(lambda: label(server, names[-1]) in {200, 201}, 10)
        # The rate counts time that passes, not the clock.
        jump("+0")
        refused = [ask(server, "1", 40) for _ in range(20)].count(429)
        jump("-1d")
        time.sleep(1.2)
        assert ask(server, "2", 40) == 200
        assert 0 < refused < 20
        exported = server.get("/feedback/export")
        assert server.get("/health/ready").status == 200
    assert len(exported.body.splitlines()) >= 4, exported.body
