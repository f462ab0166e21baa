"""How this process holds its memory: glibc's knobs and Python's garbage collector."""

from __future__ import annotations

import ctypes
import gc

_LIBC = ctypes.CDLL(None)
# Of glibc's malloc.h; other C libraries have neither these nor the functions.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

KEPT_BYTES = 16 << 20
"""Freed memory that is kept for the next requests."""
OWN_MAPPING_BYTES = 32 << 20
"""What is as large as this is mapped for itself, and given back at once; no usual body is. To give
one of ten megabytes back takes a millisecond, in which no other request moves."""


def keep_freed() -> None:
    """Keeps memory that was freed: bodies come and go, and each of their pages costs a fault.

    Left to itself, glibc gave back and took again 130 pages for each of 64 images as JSON, a third
    of the time to answer them.
    """
    set_knob = getattr(_LIBC, "mallopt", None)
    if set_knob is not None:
        set_knob(_M_TRIM_THRESHOLD, KEPT_BYTES)
        set_knob(_M_MMAP_THRESHOLD, OWN_MAPPING_BYTES)


def return_freed() -> None:
    """Gives the system what is freed in every arena.

    glibc keeps some for each thread apart, so that with every load of a version, on a thread of
    its own, a little more would be kept.
    """
    trim = getattr(_LIBC, "malloc_trim", None)
    if trim is not None:
        trim(0)


def collect_seldom() -> None:
    """Spares the requests under way most of the searches for cyclic garbage, as they leave none.

    With a thousand of them Python would look through them all again and again, for a quarter of
    the time; what was made before the first is never garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
