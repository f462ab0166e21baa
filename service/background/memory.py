"""The memory that this process may use: what follows from it, who gets it, and how it goes back."""

import asyncio
import ctypes
import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import Any

from service.background.large_work import give_way
from service.errors import TooLarge
from service.settings import MIB, Settings

_PARTS = {
    "max_picture_bytes": 2,
    "max_waiting_bytes": 8,
    "max_model_bytes": 16,
    "max_body_bytes": 20,
    "max_evaluate_body_bytes": 20,
    "queue_rows": 32 << 10,
    "max_loaded": 128 * MIB,
}
"""By what a worker's memory is divided for each of these settings, whose default is the most."""
_IDLE_SECONDS = 2.0
_TRIM_BYTES = 4 * MIB
_TRIMS = 3
"""How often it is trimmed: the threads of callers who left free their memory a little later."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SMALL = 1 / 64  # the part of a room below which nothing is counted, so that small work never waits
_PAUSE_SECONDS = 0.005


def fitted(settings: Settings, memory_bytes: int) -> Settings:
    """Returns the settings with sizes that fit into the memory; those that are set stay."""
    most = {name: Settings.model_fields[name].default for name in _PARTS}
    share = memory_bytes // settings.workers
    sizes = {
        name: max(1, min(most[name], share // part))
        for name, part in _PARTS.items()
        if name not in settings.model_fields_set
    }
    return settings.model_copy(update=sizes)


def memory_limit(
    groups: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")
) -> int:
    """Returns the bytes that this process may use: the least limit of its cgroups, or all.

    A container may see its own group as the top, so the top counts too (the kernel's
    admin-guide/cgroup-v2, and cgroup-v1).
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES]
    with suppress(OSError):
        for line in groups.read_text().splitlines():
            _, names, group = line.split(":", 2)
            if names and "memory" not in names.split(","):
                continue
            name = "memory/{}/memory.limit_in_bytes" if names else "{}/memory.max"
            inside = Path(group.lstrip("/"))
            for each in (inside, *inside.parents):
                with suppress(OSError, ValueError):  # "max" is no number
                    limits.append(int((mount / name.format(each)).read_text()))
    return min(limits)


def keep_freed() -> None:
    """Keeps freed memory for the next bodies (JSON: 1.2 x the speed), and freezes the garbage."""
    gc.freeze()
    set_option = _libc("mallopt")
    if set_option is not None:
        set_option(-1, 16 << 20)  # M_TRIM_THRESHOLD of glibc's malloc.h
        set_option(-3, 32 << 20)  # M_MMAP_THRESHOLD


async def trim_when_idle(is_idle: Callable[[], bool]) -> None:
    """Gives freed memory back to the system, for ever, when nothing large is under way."""
    trim, seen, left = _libc("malloc_trim"), _resident(), 0
    while trim is not None:
        await asyncio.sleep(_IDLE_SECONDS)
        if abs(_resident() - seen) > _TRIM_BYTES:
            left = _TRIMS
        if left and is_idle():
            left -= 1
            if gc.get_freeze_count():
                gc.collect()  # closed connections are cycles
            await asyncio.to_thread(trim, 0)
        seen = _resident()


def _resident() -> int:
    with suppress(OSError):  # only Linux has it
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


def _libc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None)  # only glibc has these


class Room:
    """Bytes that threads share: each waits until there is room for what it needs."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, amount: int, what: str) -> Iterator[None]:
        """Holds ``amount`` bytes, giving way while it waits; TooLarge if there is never room."""
        if amount > self._size:
            most = f"at most {self._size:,} are there for all pictures"
            raise TooLarge(f"{what} takes {amount:,} bytes of memory; {most}")
        if amount < _SMALL * self._size:
            amount = 0
        while True:
            with self._lock:
                if amount <= self._free:
                    self._free -= amount
                    break
            sleep(_PAUSE_SECONDS)
            give_way()
        try:
            yield
        finally:
            with self._lock:
                self._free += amount
