"""How many images each caller may have classified, counted over all workers together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from service.inference.admission import Rates

HAMMER = """
import json, sys, time
from pathlib import Path
from service.inference.admission import Rates
rates, images = Rates(0, Path(sys.argv[1])), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
start, charged = time.monotonic(), 0
while (now := time.monotonic()) < start + 1.5:
    charged += images * (not rates.charge("a", images, 500.0)[1])
    rates.charge(str(charged % 97), 1, 10.0)
    last = now
print(json.dumps([start, last, charged]))
"""


def test_a_caller_may_be_a_window_ahead_and_then_waits_for_each_image() -> None:
    rates = Rates(0)
    assert [rates.charge("a", 1, 0.01)[1] for _ in range(2)] == pytest.approx([0, 100], abs=5)
    assert [rates.charge("b", 1, 5.0)[1] for _ in range(5)] == [0] * 5
    assert [rates.charge("c", 1, 0.01)[1], rates.charge("b", 5, 5.0)[1] > 0] == [0, True]


def test_a_refused_request_costs_nothing_and_a_large_one_is_paid_for_afterwards() -> None:
    rates = Rates(0)
    assert rates.charge("a", 20, 10.0)[1] == pytest.approx(1, abs=0.2)
    assert rates.charge("a", 1, 10.0)[1] == 0
    assert rates.charge("a", 599, 10.0, begun=True)[1] == 0
    for _ in range(3):
        assert rates.charge("a", 1, 10.0)[1] == pytest.approx(59.1, abs=1)


def test_the_fields_say_the_quota_and_what_is_left() -> None:
    rates = Rates(0)
    fields = dict(rates.charge("a", 30, 100.0)[0])
    assert fields == {
        b"ratelimit-policy": b'"images";q=100;w=1;qu="images"',
        b"ratelimit": b'"images";r=70;t=1',
    }
    slow = dict(rates.charge("b", 1, 0.25)[0])
    assert slow[b"ratelimit-policy"] == b'"images";q=1;w=4;qu="images"'
    assert slow[b"ratelimit"] == b'"images";r=0;t=4'


def test_the_busy_are_remembered_however_many_strangers_come() -> None:
    rates = Rates(0)
    rates.charge("busy", 1000, 1.0, begun=True)
    for number in range(50_000):
        rates.charge(f"stranger {number}", 1, 1e6)
    assert rates.charge("busy", 1, 1.0)[1] > 900


@pytest.mark.parametrize("images", [1, 7])
def test_the_rate_is_exact_over_several_processes(tmp_path: Path, images: int) -> None:
    """Never more; and no less, but where the machine lets none of them run for a while."""
    charged, allowed = 0, 0.0
    for attempt in range(5):
        folder = tmp_path / f"{attempt}"
        folder.mkdir()
        seconds, charged = hammered(folder, images)
        allowed = 500 * (seconds + 1)  # the window comes first
        assert charged <= 1.02 * allowed
        if charged >= 0.95 * allowed:
            return
    pytest.fail(f"{charged} images of {allowed}")


def hammered(folder: Path, images: int) -> tuple[float, int]:
    """Three processes charge all they can; how long, and how many images were let through."""
    command = [sys.executable, "-c", HAMMER, str(folder), str(images)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    ends = [json.loads(worker.communicate(timeout=60)[0]) for worker in workers]
    seconds = max(last for _, last, _ in ends) - min(start for start, _, _ in ends)
    return seconds, sum(charged for _, _, charged in ends)


def test_a_worker_that_starts_anew_knows_what_others_charged(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; import sys; from service.inference.admission import Rates;"
        "Rates(0, Path(sys.argv[1])).charge('a', 10, 1.0, begun=True)"
    )
    for _ in range(4):
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    waits = Rates(0, tmp_path).charge("a", 1, 1.0)[1]
    assert 0 < waits <= 40
