"""Who was refused is heard again when there is room, and not before, however often it asks."""

from __future__ import annotations

import asyncio
import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from service.http.throttle import LONGEST_SECONDS, Throttle
from tests.digits import images
from tests.server import serving, wait_until
from tests.service.conftest import SLOW

RAW = "application/octet-stream"


class Caller:
    def __init__(self) -> None:
        self.read = True

    def stop_reading(self) -> None:
        self.read = False

    def read_on(self) -> None:
        self.read = True


def test_they_are_let_in_one_at_a_time_in_the_order_they_came() -> None:
    async def scene() -> None:
        refused, callers = Throttle(), [Caller() for _ in range(3)]
        for caller in callers:
            refused.hold(caller)
        assert [caller.read for caller in callers] == [False, False, False]
        refused.let_one_in()
        assert [caller.read for caller in callers] == [True, False, False]
        refused.hold(callers[0])
        refused.let_one_in()
        refused.let_one_in()
        assert [caller.read for caller in callers] == [False, True, True]
        refused.let_one_in()
        refused.let_one_in()
        assert len(refused) == 0

    asyncio.run(scene())


def test_none_is_held_longer_than_it_was_told_to_wait() -> None:
    async def scene() -> None:
        refused, caller = Throttle(), Caller()
        refused.hold(caller)
        refused.hold(caller)
        await asyncio.sleep(LONGEST_SECONDS + 0.2)
        assert caller.read
        assert len(refused) == 0

    asyncio.run(scene())


def test_a_caller_who_asks_again_at_once_is_not_refused_again_and_again(
    models: Path, tmp_path: Path
) -> None:
    flags = ("--queue-rows", "100", "--deadline-s", "60")
    with serving(models, tmp_path / "log", *flags) as server, ThreadPoolExecutor(1) as others:
        target = f"/predict?version={SLOW}"
        assert server.post(target, images(1).tobytes(), RAW).status == 200
        slow = others.submit(server.post, target, images(1000).tobytes(), RAW)
        wait_until(lambda: server.metric("mnist_queue_rows") > 0)
        hasty = http.client.HTTPConnection(server.host, server.port, timeout=60)
        start, statuses = time.monotonic(), [0]
        while statuses[-1] != 200:
            hasty.request("POST", "/predict", images(90).tobytes(), {"Content-Type": RAW})
            answer = hasty.getresponse()
            answer.read()
            statuses.append(answer.status)
        seconds = time.monotonic() - start
        hasty.close()
        assert slow.result().status == 200
    assert 1 <= statuses.count(429) <= 1 + seconds / LONGEST_SECONDS
