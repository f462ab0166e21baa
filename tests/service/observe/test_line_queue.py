"""Lines go to their descriptor on a thread; nobody waits for a reader who stalls."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from time import monotonic

import pytest

from service.observe.logs import LineQueue

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        try:
            os.close(end)
        except OSError:  # the test closed it
            continue


def test_lines_are_written_in_their_order(pipe: Pipe) -> None:
    queue = LineQueue(pipe[1])
    for number in range(1000):
        queue.put(b"%d\n" % number)
    queue.flush(10)
    assert os.read(pipe[0], 1 << 20).split() == [b"%d" % number for number in range(1000)]


@pytest.mark.parametrize("blocking", [True, False])
def test_what_finds_no_room_is_dropped_and_counted(pipe: Pipe, blocking: bool) -> None:
    os.set_blocking(pipe[1], blocking)
    queue, dropped = LineQueue(pipe[1], room=1 << 20), list[int]()
    queue.dropped = dropped.append
    line = b"x" * 1023 + b"\n"
    before = monotonic()
    for _ in range(3000):
        queue.put(line)
    assert monotonic() - before < 5
    assert 3000 - 1024 - 64 <= len(dropped) <= 3000 - 1024, "the pipe holds 64 lines"
    read = 0
    while read < 3000 - len(dropped):
        read += os.read(pipe[0], 1 << 20).count(b"\n")
    queue.flush(10)
    assert read == 3000 - len(dropped)


def test_a_flush_waits_no_longer_than_it_may(pipe: Pipe) -> None:
    queue = LineQueue(pipe[1])
    queue.put(bytes(1 << 20))
    before = monotonic()
    queue.flush(0.2)
    assert 0.2 <= monotonic() - before < 5


def test_a_reader_that_went_away_does_no_harm(pipe: Pipe) -> None:
    queue, dropped = LineQueue(pipe[1]), list[int]()
    queue.dropped = dropped.append
    os.close(pipe[0])
    queue.put(b"lost\n")
    queue.flush(10)
    assert dropped == [1]


def test_a_forked_process_writes_its_own_lines() -> None:
    program = (
        "import os; from service.observe.logs import STDERR\n"
        "STDERR.put(b'parent\\n'); STDERR.flush()\n"
        "if os.fork() == 0:\n"
        "    STDERR.put(b'child\\n'); STDERR.flush(); os._exit(0)\n"
        "os.wait()"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert done.stderr == b"parent\nchild\n"
