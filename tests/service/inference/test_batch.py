"""How the images of many requests become few executions, and each request gets its own rows."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from service.background.large_work import FairThreads, recent
from service.errors import DeadlineExceeded, QueueFull
from service.inference.admission import RETRY_SECONDS, Queue
from service.inference.batch import Batcher, Result
from service.inference.runtime import Runtime
from service.observe.metrics import Metrics
from service.types import Images
from tests.service.figures import figure
from tests.tiny import brittle_model_bytes, slow_model_bytes, tiny_model_bytes

pytestmark = pytest.mark.anyio
LATER = float("inf")


class Bench:
    """A batcher on a real model, and the figures that it leaves."""

    def __init__(
        self, model: bytes, *, limit_rows: int = 2000, batch_rows: int = 16, threads: int = 2
    ) -> None:
        self.runtime = Runtime.load(model, provider="cpu")
        self.metrics = Metrics()
        queue = Queue(limit_rows, self.metrics)
        sizes = (batch_rows, batch_rows, threads)
        runners = FairThreads("runner", threads)
        self.batcher = Batcher(self.runtime, queue, self.metrics, runners, *sizes)

    def infer(
        self, images: Images, deadline: float = LATER, caller: str = ""
    ) -> Coroutine[Any, Any, Result]:
        return self.batcher.infer(images, deadline, caller=caller)

    async def together(self, *requests: Any) -> list[Any]:
        """The results, or the faults, of requests that arrive in the same turn of the loop."""
        return await asyncio.gather(*requests, return_exceptions=True)

    def check(self, sent: Images, result: Result | BaseException) -> None:
        """Each request gets the probabilities of its own images."""
        assert isinstance(result, Result)
        np.testing.assert_allclose(result.probabilities, self.runtime.run(sent), atol=1e-6)

    def runs(self) -> tuple[float, float]:
        """The executions, and the images in them; none waits."""
        assert figure(self.metrics, "queue_rows") == 0
        return self.count("batch_size_count"), self.count("batch_size_sum")

    def count(self, name: str, **labels: str) -> float:
        return figure(self.metrics, name, **labels)


@pytest.fixture
def bench() -> Bench:
    return Bench(tiny_model_bytes())


def images(count: int, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 255, (count, 28, 28), np.uint8)


async def test_a_lone_request_is_run_in_the_turn_after_it_came(bench: Bench) -> None:
    task = asyncio.create_task(bench.infer(images(1)))
    for _ in range(2):  # in the first turn the task begins, in the second its batch is executed
        await asyncio.sleep(0)
    assert bench.runs() == (1, 1)
    await task
    assert bench.count("queue_seconds_count") == 1


async def test_requests_of_one_turn_are_one_run_and_get_their_own_rows_in_order(
    bench: Bench,
) -> None:
    sent = [images(n, seed) for seed, n in enumerate([1, 3, 5, 2, 4])]
    answers = await bench.together(*map(bench.infer, sent))
    assert bench.runs() == (1, 15)
    for given, ran in zip(sent, answers, strict=True):
        bench.check(given, ran)
        assert ran.queue_s >= 0
        assert ran.infer_s > 0


async def test_what_does_not_fit_into_one_run_goes_into_the_next_in_order(bench: Bench) -> None:
    finished: list[int] = []

    async def numbered(number: int) -> None:
        await bench.infer(images(6, number))
        finished.append(number)

    await bench.together(*map(numbered, range(5)))
    # 16 rows a run: two requests of 6, then two, then one.
    assert bench.runs() == (3, 30)
    assert finished == [0, 1, 2, 3, 4]


async def test_callers_get_the_runs_in_turn_and_none_waits_for_anothers_many(bench: Bench) -> None:
    finished: list[str] = []

    async def one(caller: str, rows: int) -> None:
        await bench.infer(images(rows), caller=caller)
        finished.append(caller)

    await bench.together(*(one("many", 16) for _ in range(20)), *(one("few", 1) for _ in range(16)))
    assert "".join(name[0] for name in finished).startswith("m" + "f" * 16)
    assert bench.runs() == (21, 336)


async def test_a_large_request_of_one_caller_lets_anothers_in_between() -> None:
    bench, finished = Bench(slow_model_bytes(40), threads=1, limit_rows=5000), list[str]()

    async def one(caller: str, rows: int) -> None:
        await bench.infer(images(rows), caller=caller)
        finished.append(caller)

    many = [asyncio.create_task(one("many", 480)) for _ in range(2)]
    await asyncio.sleep(0.001)
    await one("few", 17)
    assert finished == ["few"]
    await asyncio.gather(*many)


async def test_under_load_no_answer_ever_goes_to_another_caller(bench: Bench) -> None:
    random = np.random.default_rng(1)

    async def caller(number: int) -> None:
        for step in range(10):
            given = images(int(random.integers(1, 60)), 100 * number + step)
            bench.check(given, await bench.infer(given))
            await asyncio.sleep(0.0005 * random.random())

    await asyncio.gather(*map(caller, range(20)))
    bench.runs()


async def test_the_same_image_alone_gives_the_same_bits_every_time(bench: Bench) -> None:
    one = images(1, 7)
    bits = {(await bench.infer(one)).probabilities.tobytes() for _ in range(20)}
    assert bits == {bench.runtime.run(one).tobytes()}


@pytest.mark.parametrize(
    ("threads", "small_s", "runs"), [(1, -60, 13), (2, -60, 13), (3, -60, 13), (1, 60, 51)]
)
async def test_a_large_request_is_cut_among_the_runners_and_finer_while_small_ones_come(
    monkeypatch: pytest.MonkeyPatch, threads: int, small_s: float, runs: int
) -> None:
    bench, sent = Bench(tiny_model_bytes(), threads=threads), images(203)
    monkeypatch.setattr(recent, "small_at", perf_counter() + small_s)
    bench.check(sent, await bench.infer(sent))
    assert bench.runs() == (runs, 203)
    assert bench.count("queue_seconds_count") == 1


@pytest.mark.alone
async def test_the_event_loop_stays_free_while_a_large_request_runs() -> None:
    bench = Bench(slow_model_bytes(40), threads=1)
    start = perf_counter()
    large = asyncio.create_task(bench.infer(images(160)))
    await asyncio.sleep(0.005)
    longest_turn_s = 0.0
    while not large.done():
        before = perf_counter()
        await asyncio.sleep(0.001)
        longest_turn_s = max(longest_turn_s, perf_counter() - before)
    await large
    assert longest_turn_s < (perf_counter() - start) / 2


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    bench = Bench(tiny_model_bytes(), limit_rows=10)
    *admitted, refused = await bench.together(*(bench.infer(images(4)) for _ in range(3)))
    assert [type(each) for each in admitted] == [Result, Result]
    assert isinstance(refused, QueueFull)
    ((name, value),) = refused.headers
    assert name == b"retry-after"
    assert int(value) >= RETRY_SECONDS
    await bench.infer(images(4))
    assert bench.count("rejected_total", reason="queue_full") == 1
    for count in (200, 11):  # an empty queue takes a request larger than its bound
        assert len((await bench.infer(images(count))).probabilities) == count
    bench.runs()


def test_retry_after_follows_the_rate_of_the_executions() -> None:
    queue = Queue(1000, Metrics())
    queue.rate = 10.0
    queue.admit(1000)
    with pytest.raises(QueueFull) as caught:
        queue.admit(500)
    # 500 rows have to go first, at ten a second.
    assert 45 <= int(caught.value.headers[0][1]) <= 55


@pytest.mark.parametrize("count", [1, 100])
async def test_a_request_past_its_deadline_is_not_run(bench: Bench, count: int) -> None:
    with pytest.raises(DeadlineExceeded):
        await bench.infer(images(count), deadline=perf_counter() - 0.001)
    assert bench.runs() == (0, 0)


async def test_a_late_request_does_not_hold_up_those_beside_it(bench: Bench) -> None:
    late = bench.infer(images(2, 1), perf_counter() - 1)
    rejected, in_time = await bench.together(late, bench.infer(images(3, 2)))
    assert isinstance(rejected, DeadlineExceeded)
    bench.check(images(3, 2), in_time)


async def test_a_caller_who_left_is_skipped(bench: Bench) -> None:
    leaving = asyncio.create_task(bench.infer(images(2, 1)))
    staying = asyncio.create_task(bench.infer(images(3, 2)))
    await asyncio.sleep(0)
    leaving.cancel()
    bench.check(images(3, 2), await staying)
    assert bench.runs() == (1, 3)
    assert bench.count("rejected_total", reason="left") == 1


@pytest.mark.parametrize(
    ("deadline_s", "error", "left"),
    [(0.05, DeadlineExceeded, 0), (60, asyncio.CancelledError, 1)],
)
async def test_a_large_request_that_is_late_or_whose_caller_left_is_run_no_further(
    deadline_s: float, error: type[BaseException], left: int
) -> None:
    bench = Bench(slow_model_bytes(60), threads=1)
    task = asyncio.create_task(bench.infer(images(3200), perf_counter() + deadline_s))
    if left:
        await asyncio.sleep(0.02)
        task.cancel()
    with pytest.raises(error):
        await task
    assert bench.runs()[1] < 3200
    assert bench.count("rejected_total", reason="left") == left


async def test_a_failing_run_fails_its_own_batch_and_no_other() -> None:
    bench = Bench(brittle_model_bytes(), batch_rows=4)
    bad, good = np.full((4, 28, 28), 255, np.uint8), [images(4, seed) // 2 for seed in (1, 2)]
    first, failed, third = await bench.together(*map(bench.infer, (good[0], bad, good[1])))
    assert "out of data bounds" in str(failed)
    bench.check(good[0], first)
    bench.check(good[1], third)
    with pytest.raises(Exception, match="out of data bounds"):
        await bench.infer(np.repeat(bad, 10, axis=0))
    bench.runs()


async def test_a_version_that_computed_for_long_holds_the_event_loop_no_more() -> None:
    bench = Bench(slow_model_bytes(600), batch_rows=160)
    start = perf_counter()
    bench.check(images(160), await bench.infer(images(160)))
    assert perf_counter() - start > 0.5, "the model is too fast for this test"
    start, second = perf_counter(), asyncio.create_task(bench.infer(images(160)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert perf_counter() - start < 0.2
    assert not second.done()
    await second
