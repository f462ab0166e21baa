"""Process-wide settings of glibc's allocator and of Python's garbage collector.

Only ``serve`` applies them, in each worker. Nothing else depends on them.
"""

from __future__ import annotations

import ctypes
import gc

_LIBC = ctypes.CDLL(None)
# From glibc's malloc.h; other C libraries have neither these nor the function.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed() -> None:
    """Keeps 16 MiB of freed memory, since each page of a new body would cost a page fault.

    With its defaults, glibc unmapped and mapped 130 pages for each request of 64 images as JSON,
    which took a third of the time to answer it. Blocks under 32 MiB get no mapping of their own:
    to unmap ten megabytes takes a millisecond, in which no other request proceeds.
    """
    set_option = getattr(_LIBC, "mallopt", None)
    if set_option is not None:
        set_option(_M_TRIM_THRESHOLD, 16 << 20)
        set_option(_M_MMAP_THRESHOLD, 32 << 20)


def collect_seldom() -> None:
    """Collects cyclic garbage less often, since requests leave none.

    With a thousand requests in progress, Python would search them all again and again, for a
    quarter of the time. Objects made before the first request are never garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
