"""How the images of many requests become few runs, and each request gets its own rows."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.background.large_work import small
from service.errors import DeadlineExceeded, QueueFull
from service.inference.admission import RETRY_SECONDS, Queue
from service.inference.batch import Batcher, Result
from service.inference.runtime import Runtime
from service.observe.metrics import Metrics
from service.types import Images
from tests.tiny import brittle_model_bytes, slow_model_bytes, tiny_model_bytes

LATER = float("inf")


class Bench:
    """A batcher on a real model, and the figures it leaves."""

    def __init__(
        self, model: bytes, *, limit_rows: int = 1000, batch_rows: int = 16, threads: int = 2
    ) -> None:
        self.runtime = Runtime.load(model, provider="cpu")
        self.metrics = Metrics()
        self.queue = Queue(limit_rows, self.metrics)
        self.runners = ThreadPoolExecutor(threads)
        self.batcher = Batcher(
            self.runtime,
            self.queue,
            self.metrics,
            self.runners,
            batch_rows=batch_rows,
            inline_rows=batch_rows,
            threads=threads,
        )

    def infer(self, images: Images, deadline: float = LATER) -> Coroutine[Any, Any, Result]:
        return self.batcher.infer(images, deadline)

    def figure(self, name: str, **labels: str) -> float:
        text = self.metrics.exposition().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        )

    def runs(self) -> float:
        return self.figure("mnist_batch_size_count")

    def rows(self) -> float:
        return self.figure("mnist_batch_size_sum")

    def waiting(self) -> float:
        return self.figure("mnist_queue_rows")


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(tiny_model_bytes())
    yield made
    made.runners.shutdown()


def images(count: int, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 255, (count, 28, 28), np.uint8)


async def _turns() -> None:
    """Lets the event loop turn twice: once for the tasks to begin, once for their batch."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_a_lone_request_is_run_in_the_turn_after_it_came(bench: Bench) -> None:
    async def lone() -> None:
        task = asyncio.create_task(bench.infer(images(1)))
        await _turns()
        assert bench.runs() == 1
        await task

    asyncio.run(lone())
    assert bench.figure("mnist_queue_seconds_count") == 1


def test_requests_of_one_turn_are_one_run_and_get_their_own_rows_in_order(bench: Bench) -> None:
    sent = [images(n, seed) for seed, n in enumerate([1, 3, 5, 2, 4])]

    async def together() -> list[Result]:
        return await asyncio.gather(*map(bench.infer, sent))

    answers = asyncio.run(together())
    assert (bench.runs(), bench.rows()) == (1, 15)
    assert bench.waiting() == 0
    for given, ran in zip(sent, answers, strict=True):
        np.testing.assert_allclose(ran.probabilities, bench.runtime.run(given), atol=1e-6)
        assert ran.queue_s >= 0
        assert ran.infer_s > 0


def test_what_does_not_fit_into_one_run_goes_into_the_next_in_order(bench: Bench) -> None:
    finished: list[int] = []

    async def numbered(number: int) -> None:
        await bench.infer(images(6, number))
        finished.append(number)

    async def together() -> None:
        await asyncio.gather(*map(numbered, range(5)))

    asyncio.run(together())
    # 16 rows a run: two requests of 6, then two, then one.
    assert (bench.runs(), bench.rows()) == (3, 30)
    assert finished == [0, 1, 2, 3, 4]


def test_under_load_no_answer_ever_goes_to_another_caller(bench: Bench) -> None:
    random = np.random.default_rng(1)

    async def caller(number: int) -> None:
        for step in range(10):
            given = images(int(random.integers(1, 60)), 100 * number + step)
            ran = await bench.infer(given)
            np.testing.assert_allclose(ran.probabilities, bench.runtime.run(given), atol=1e-6)
            await asyncio.sleep(0.0005 * random.random())

    async def all_callers() -> None:
        await asyncio.gather(*map(caller, range(20)))

    asyncio.run(all_callers())
    assert bench.waiting() == 0


def test_the_same_image_alone_gives_the_same_bits_every_time(bench: Bench) -> None:
    one = images(1, 7)

    async def often() -> set[bytes]:
        return {(await bench.infer(one)).probabilities.tobytes() for _ in range(20)}

    assert asyncio.run(often()) == {bench.runtime.run(one).tobytes()}


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_large_request_is_cut_among_the_runners_and_put_together_again(threads: int) -> None:
    bench = Bench(tiny_model_bytes(), threads=threads)
    sent = images(203)
    small.last = perf_counter() - 60
    ran = asyncio.run(bench.infer(sent))
    np.testing.assert_allclose(ran.probabilities, bench.runtime.run(sent), atol=1e-6)
    assert bench.rows() == 203
    assert bench.runs() == 13
    assert bench.waiting() == 0
    assert bench.figure("mnist_queue_seconds_count") == 1
    bench.runners.shutdown()


def test_a_large_request_is_cut_into_shorter_runs_while_small_ones_come() -> None:
    bench = Bench(tiny_model_bytes(), threads=1)
    sent = images(203)
    small.last = perf_counter() + 60
    try:
        ran = asyncio.run(bench.infer(sent))
    finally:
        small.last = perf_counter() - 60
    np.testing.assert_allclose(ran.probabilities, bench.runtime.run(sent), atol=1e-6)
    assert bench.rows() == 203
    assert bench.runs() == 51
    bench.runners.shutdown()


@pytest.mark.alone
def test_the_event_loop_stays_free_while_a_large_request_runs() -> None:
    bench = Bench(slow_model_bytes(40), threads=1)

    async def both() -> tuple[float, float]:
        start = perf_counter()
        large = asyncio.create_task(bench.infer(images(160)))
        await asyncio.sleep(0.005)
        turns_s = 0.0
        while not large.done():
            before = perf_counter()
            await asyncio.sleep(0.001)
            turns_s = max(turns_s, perf_counter() - before)
        await large
        return turns_s, perf_counter() - start

    longest_turn_s, total_s = asyncio.run(both())
    assert longest_turn_s < total_s / 2
    bench.runners.shutdown()


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    bench = Bench(tiny_model_bytes(), limit_rows=10)

    async def crowd() -> None:
        tasks = [asyncio.create_task(bench.infer(images(4))) for _ in range(3)]
        first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, Result)
        assert isinstance(second, Result)
        assert isinstance(third, QueueFull)
        name, value = third.headers[0]
        assert name == b"retry-after"
        assert int(value) >= RETRY_SECONDS
        await bench.infer(images(4))

    asyncio.run(crowd())
    assert bench.figure("mnist_rejected_total", reason="queue_full") == 1
    assert bench.waiting() == 0
    bench.runners.shutdown()


def test_an_empty_queue_takes_a_request_larger_than_its_bound() -> None:
    bench = Bench(tiny_model_bytes(), limit_rows=10)
    assert len(asyncio.run(bench.infer(images(200))).probabilities) == 200
    assert len(asyncio.run(bench.infer(images(11))).probabilities) == 11
    bench.runners.shutdown()


def test_retry_after_follows_the_rate_of_the_executions() -> None:
    queue = Queue(1000, Metrics())
    queue.rate = 10.0
    queue.admit(1000)
    with pytest.raises(QueueFull) as caught:
        queue.admit(500)
    # 500 rows have to go first, at ten a second.
    assert 45 <= int(caught.value.headers[0][1]) <= 55


@pytest.mark.parametrize("count", [1, 100])
def test_a_request_past_its_deadline_is_not_run(bench: Bench, count: int) -> None:
    with pytest.raises(DeadlineExceeded):
        asyncio.run(bench.infer(images(count), deadline=perf_counter() - 0.001))
    assert bench.runs() == 0
    assert bench.waiting() == 0


def test_a_late_request_does_not_hold_up_those_beside_it(bench: Bench) -> None:
    async def both() -> tuple[Result | BaseException, ...]:
        return await asyncio.gather(
            bench.infer(images(2, 1), perf_counter() - 1),
            bench.infer(images(3, 2)),
            return_exceptions=True,
        )

    late, in_time = asyncio.run(both())
    assert isinstance(late, DeadlineExceeded)
    assert isinstance(in_time, Result)
    np.testing.assert_allclose(in_time.probabilities, bench.runtime.run(images(3, 2)), atol=1e-6)


def test_a_large_request_stops_at_its_deadline() -> None:
    bench = Bench(slow_model_bytes(60), threads=1)

    async def late() -> float:
        start = perf_counter()
        with pytest.raises(DeadlineExceeded):
            await bench.infer(images(1600), start + 0.05)
        return perf_counter() - start

    asyncio.run(late())
    bench.runners.shutdown()
    assert bench.rows() < 1600
    assert bench.waiting() == 0


def test_a_caller_who_left_is_skipped(bench: Bench) -> None:
    async def leave() -> None:
        leaving = asyncio.create_task(bench.infer(images(2, 1)))
        staying = asyncio.create_task(bench.infer(images(3, 2)))
        await asyncio.sleep(0)
        leaving.cancel()
        ran = await staying
        np.testing.assert_allclose(ran.probabilities, bench.runtime.run(images(3, 2)), atol=1e-6)

    asyncio.run(leave())
    assert (bench.runs(), bench.rows()) == (1, 3)
    assert bench.waiting() == 0
    assert bench.figure("mnist_rejected_total", reason="left") == 1


def test_a_large_request_whose_caller_left_is_run_no_further() -> None:
    bench = Bench(slow_model_bytes(60), threads=1)

    async def leave() -> None:
        task = asyncio.create_task(bench.infer(images(3200)))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    bench.runners.shutdown()
    assert bench.rows() < 3200
    assert bench.waiting() == 0
    assert bench.figure("mnist_rejected_total", reason="left") == 1


def test_a_failing_run_fails_its_own_batch_and_no_other() -> None:
    bench = Bench(brittle_model_bytes(), batch_rows=4)
    bad = np.full((4, 28, 28), 255, np.uint8)

    async def three() -> tuple[Result | BaseException, ...]:
        return await asyncio.gather(
            bench.infer(images(4, 1) // 2),
            bench.infer(bad),
            bench.infer(images(4, 2) // 2),
            return_exceptions=True,
        )

    first, second, third = asyncio.run(three())
    assert isinstance(second, Exception)
    assert "out of data bounds" in str(second)
    assert isinstance(first, Result)
    assert isinstance(third, Result)
    np.testing.assert_allclose(third.probabilities, bench.runtime.run(images(4, 2) // 2), atol=1e-6)
    with pytest.raises(Exception, match="out of data bounds"):
        asyncio.run(bench.infer(np.repeat(bad, 10, axis=0)))
    assert bench.waiting() == 0
    bench.runners.shutdown()
