"""How the process holds its memory, on real pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGES_OF_TWENTY_ROUNDS = """
import resource
from service import memory
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
