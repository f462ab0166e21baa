"""A rejected connection is read again when the queue has room, however often its caller asks."""

from __future__ import annotations

import asyncio
import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from service.http.door import Throttle
from service.inference.admission import RETRY_SECONDS, Queue
from service.observe.metrics import Metrics
from tests.digits import images
from tests.server import serving, wait_until
from tests.service.conftest import SLOW

RAW = "application/octet-stream"


class Caller(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.read = True

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.read = False

    def resume_reading(self) -> None:
        self.read = True


def test_rejected_callers_are_read_again_one_at_a_time_in_order() -> None:
    async def scene() -> None:
        queue = Queue(100, Metrics())
        throttle, callers = Throttle(queue), [Caller() for _ in range(3)]
        queue.admit(8)
        for caller in callers:
            throttle.hold(caller, until_room=True)
        assert [caller.read for caller in callers] == [False, False, False]
        queue.leave(1)
        assert [caller.read for caller in callers] == [True, False, False]
        throttle.hold(callers[0], until_room=True)
        queue.leave(1)
        queue.leave(1)
        assert [caller.read for caller in callers] == [False, True, True]
        queue.leave(1)
        assert callers[0].read
        queue.leave(1)

    asyncio.run(scene())


def test_none_is_held_longer_than_retry_after_says() -> None:
    async def scene() -> None:
        throttle, caller = Throttle(Queue(100, Metrics())), Caller()
        throttle.hold(caller, until_room=True)
        throttle.hold(caller, until_room=True)
        await asyncio.sleep(RETRY_SECONDS + 0.2)
        assert caller.read

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
    assert 1 <= statuses.count(429) <= 1 + seconds / RETRY_SECONDS
