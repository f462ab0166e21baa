"""How many threads a worker takes, from quotas and affinities; and threads that may never end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from service.background.threads import DaemonThreads, cpu_quota, usable_cores, worker_threads

pytestmark = pytest.mark.anyio


def _v2(root: Path, content: str) -> Path:
    (root / "cpu.max").write_text(content)
    return root


@pytest.mark.parametrize(
    ("content", "cores"),
    [
        ("200000 100000\n", 2.0),
        ("50000 100000\n", 0.5),
        ("150000 100000\n", 1.5),
        *((no_quota, None) for no_quota in ("max 100000\n", "-1 1\n", "", "x\n", "x 1", "1 0\n")),
    ],
)
def test_a_quota_is_quota_by_period(tmp_path: Path, content: str, cores: float | None) -> None:
    assert cpu_quota(tmp_path / "nowhere") is None
    (tmp_path / "cpu").mkdir()
    for name, value in zip(("quota", "period"), content.split(), strict=False):
        (tmp_path / f"cpu/cpu.cfs_{name}_us").write_text(f"{value}\n")
    assert cpu_quota(tmp_path) == cores, "version 1"
    assert cpu_quota(_v2(tmp_path, content)) == cores, "version 2"


def test_the_lesser_of_affinity_and_quota_counts_but_never_less_than_one(tmp_path: Path) -> None:
    mask = os.sched_getaffinity(0)
    assert usable_cores(_v2(tmp_path, "max 100000")) == len(mask)
    assert usable_cores(_v2(tmp_path, f"{100_000 * (len(mask) + 5)} 100000")) == len(mask)
    assert usable_cores(_v2(tmp_path, "30000 100000")) == 1.0
    try:
        os.sched_setaffinity(0, {min(mask)})
        assert usable_cores(_v2(tmp_path, "max 100000")) == 1.0
    finally:
        os.sched_setaffinity(0, mask)


def test_the_cores_are_divided_among_the_workers_and_each_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for cores, workers, threads in [(8.0, 2, 4), (7.9, 2, 3), (2.0, 2, 1), (1.0, 16, 1)]:
        monkeypatch.setattr("service.background.threads.usable_cores", lambda cores=cores: cores)
        assert worker_threads(workers) == threads


async def test_a_thread_s_call_returns_or_raises_as_any_call() -> None:
    threads = DaemonThreads("test", 1)
    assert await threads.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)


async def test_no_more_than_the_bound_run_at_a_time_though_their_callers_leave() -> None:
    running: list[int] = []
    go = threading.Event()

    def wait() -> None:
        running.append(1)
        go.wait()

    threads = DaemonThreads("test", 2)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(threads.run(wait), 0.02)
    assert len(running) == 2
    go.set()
    assert await threads.run(lambda: 7) == 7


def test_a_call_that_never_returns_holds_up_no_exit() -> None:
    program = """
import asyncio, threading
from service.background.threads import DaemonThreads
async def main():
    try:
        await asyncio.wait_for(DaemonThreads("test", 1).run(threading.Event().wait), 0.1)
    except TimeoutError:
        print("late")
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "late\n", "")
