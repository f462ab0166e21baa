"""How many threads one worker may run the model on, and threads for what may never end.

ONNX Runtime sizes its pool from the host's cores and does not see a container's CPU quota; two
workers would then fight over cores that neither owns. So the count is worked out here, from what
this process may really use, and given to the session explicitly.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

CGROUP_ROOT = Path("/sys/fs/cgroup")

Answer = TypeVar("Answer")


class Aside:
    """Runs what a hanging disk may hold up for ever, beside the event loop; it delays no exit.

    That is why these are not the threads of an executor, which Python waits for at its end. At
    most ``most`` run at a time, the others wait for their turn.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._free = asyncio.Semaphore(most)

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Gives what ``work`` gives or raises; a caller who stops waiting does not stop it."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()

        def end(result: Answer | None, error: Exception | None) -> None:
            self._free.release()
            if answer.done():
                return
            if error is None:
                answer.set_result(result)  # type: ignore[arg-type]
            else:
                answer.set_exception(error)

        def run() -> None:
            """Does the work, on its thread, and tells the loop what came of it."""
            result, failed = None, None
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                failed = error
            try:
                loop.call_soon_threadsafe(end, result, failed)
            except RuntimeError:
                return  # the loop is closed: no one waits any more

        threading.Thread(target=run, name=self._name, daemon=True).start()
        return await answer


def worker_threads(workers: int) -> int:
    """Threads for one of ``workers`` processes: the usable cores divided among them, at least 1."""
    return max(1, math.floor(usable_cores()) // workers)


def usable_cores(cgroup_root: Path = CGROUP_ROOT) -> float:
    """Cores this process may use: its affinity mask, or its CPU quota where that is less."""
    if hasattr(os, "sched_getaffinity"):
        affinity = float(len(os.sched_getaffinity(0)))
    else:
        affinity = float(os.cpu_count() or 1)
    quota = cpu_quota(cgroup_root)
    return affinity if quota is None else min(affinity, max(1.0, quota))


def cpu_quota(cgroup_root: Path = CGROUP_ROOT) -> float | None:
    """The CFS quota in cores, or None where there is none.

    Reads cgroup v2's ``cpu.max`` (kernel documentation, admin-guide/cgroup-v2) and, where only
    v1 is mounted, ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us``. Inside a container these files
    are at the root of the mounted hierarchy.
    """
    try:
        quota, period = (cgroup_root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        pass
    try:
        quota_us = int((cgroup_root / "cpu/cpu.cfs_quota_us").read_text())
        period_us = int((cgroup_root / "cpu/cpu.cfs_period_us").read_text())
        return quota_us / period_us if quota_us > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
