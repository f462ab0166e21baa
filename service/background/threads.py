"""How many threads one worker uses, and threads for calls that may never return."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


class DaemonThreads:
    """Runs at most ``most`` calls that a disk may block for ever; no exit waits for them."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._free = asyncio.Semaphore(most)

    async def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Returns what ``work`` returns, or raises what it raises; cancelling does not stop it."""
        await self._free.acquire()
        loop, result = asyncio.get_running_loop(), Future[Result]()
        result.set_running_or_notify_cancel()

        def run(result: Future[Result]) -> None:
            try:
                settle = partial(result.set_result, work(*arguments))
            except Exception as error:  # noqa: BLE001 - raised in the caller
                settle = partial(result.set_exception, error)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._free.release)  # before the caller may close it
            settle()
            del result, settle

        threading.Thread(target=run, args=(result,), name=self._name, daemon=True).start()
        try:
            return await asyncio.wrap_future(result)
        finally:
            # An exception holds this frame and that of `run`. If they held it too, their memory
            # would stay until the garbage collector comes, which is rarely.
            del result


def worker_threads(workers: int) -> int:
    """Returns the threads of one of ``workers`` processes: its share of the cores, at least 1."""
    return max(1, int(usable_cores()) // workers)


def usable_cores(cgroup_root: Path = Path("/sys/fs/cgroup")) -> float:
    """Returns the cores that the affinity mask and the CPU quota leave to this process."""
    has_affinity = hasattr(os, "sched_getaffinity")
    affinity = float(len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1)
    quota = cpu_quota(cgroup_root)
    return affinity if quota is None else min(affinity, max(1.0, quota))


def cpu_quota(cgroup_root: Path) -> float | None:
    """Returns the CFS quota in cores, or None (the kernel's admin-guide/cgroup-v2, or v1)."""
    is_v2 = (cgroup_root / "cpu.max").exists()
    files = ["cpu.max"] if is_v2 else ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]
    try:
        quota, period = " ".join((cgroup_root / name).read_text() for name in files).split()
        cores = int(quota) / int(period)  # "max" is no number, and v1's is -1
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None
