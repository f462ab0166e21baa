"""Large bodies are bounded together, and each gives its room back."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import cast

import pytest

from service.api.request import Body, Request
from service.core import Core
from service.errors import QueueFull
from service.inference.admission import RETRY_SECONDS, BodyBudget, Queue
from service.observe.metrics import Metrics
from service.settings import Settings
from tests.server import DOORS, Door, Server, read_all, serving, wait_until
from tests.tiny import tiny_repository


@pytest.mark.parametrize(("first", "second"), [(600, 500), (5000, 1)])
def test_bodies_over_the_limit_are_refused_until_others_are_gone(first: int, second: int) -> None:
    budget = BodyBudget(1000, Queue(10, Metrics()))
    budget.take(first)
    with pytest.raises(QueueFull) as refused:
        budget.take(second)
    assert dict(refused.value.headers) == {b"retry-after": b"%d" % RETRY_SECONDS}
    assert refused.value.rejection == "bodies_full"
    budget.add(-first, "")
    budget.take(second)


def test_none_is_let_in_from_when_the_queue_was_full_until_a_quarter_is_free() -> None:
    queue = Queue(100, Metrics())
    budget = BodyBudget(10_000, queue)
    queue.admit(90)
    budget.take(1000)
    with pytest.raises(QueueFull):
        queue.admit(11)
    queue.leave(10)
    with pytest.raises(QueueFull) as refused:
        budget.take(1000)
    assert b"retry-after" in dict(refused.value.headers)
    queue.leave(5)
    budget.take(1000)


def test_one_caller_fills_four_fifths_and_the_rest_is_for_those_who_hold_little() -> None:
    queue = Queue(1000, Metrics())
    while queue.fits(10, "greedy"):
        queue.admit(10, "greedy")
    with pytest.raises(QueueFull):
        queue.admit(10, "greedy")
    queue.admit(64, "honest")
    with pytest.raises(QueueFull):
        queue.admit(1000, "honest")
    for number in range(60):
        queue.admit(1, f"honest {number}")
    assert 800 < queue.total <= 1000


def test_not_even_many_callers_together_go_over_the_bound() -> None:
    queue = Queue(1000, Metrics())
    for caller in map(str, range(2000)):
        while queue.fits(7, caller):
            queue.admit(7, caller)
    assert queue.total <= 1000


def test_who_holds_much_is_refused_before_its_body_is_read_and_who_holds_little_is_not() -> None:
    queue = Queue(1000, Metrics())
    budget = BodyBudget(1000, queue)
    queue.admit(800, "greedy")
    with pytest.raises(QueueFull):
        queue.admit(100, "greedy")
    with pytest.raises(QueueFull):
        budget.take(1, "greedy")
    budget.take(600, "other")
    budget.take(100, "honest")
    with pytest.raises(QueueFull):
        budget.take(300, "other")
    for caller, size in (("other", 600), ("honest", 100)):
        budget.add(-size, caller)
    queue.leave(800, "greedy")
    budget.take(5000, "greedy")


@pytest.mark.parametrize("door", DOORS)
def test_a_body_holds_what_has_arrived_of_it_until_its_answer(tmp_path: Path, door: Door) -> None:
    images = bytes(range(200)) * 392
    head = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(images)
    )
    models = tiny_repository(tmp_path)
    with serving(models, tmp_path / "log", "--max-waiting-bytes", "100000", door=door) as server:
        with server.connect() as slow:
            slow.sendall(head + images[:1000])
            for _ in range(5):  # what was announced and does not come takes nobody's room
                assert send(server, images) == 200
            slow.sendall(images[1000:70_000])
            wait_until(lambda: send(server, images) == 429)
            slow.sendall(images[70_000:])
            assert read_all(slow).startswith(b"HTTP/1.1 200 ")
        assert send(server, images) == 200


def send(server: Server, images: bytes) -> int:
    return server.post("/predict", images, "application/octet-stream").status


@pytest.mark.parametrize("door", DOORS)
def test_a_body_that_is_inflated_holds_what_it_has_become(tmp_path: Path, door: Door) -> None:
    """A lone body fits, however large; beside another one it is refused while it grows."""
    bomb = gzip.compress(bytes(12 << 20))
    field = {"Content-Encoding": "gzip"}
    flags = ("--max-waiting-bytes", "1000000")
    with serving(tiny_repository(tmp_path), tmp_path / "log", *flags, door=door) as server:

        def ask() -> int:
            return server.post("/predict", bomb, "application/octet-stream", field).status

        assert ask() in {413, 422}
        with server.connect() as slow:
            slow.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/octet-stream\r\nContent-Length: 784000\r\n\r\n"
            )
            slow.sendall(bytes(500_000))
            wait_until(lambda: ask() == 429)
        wait_until(lambda: ask() in {413, 422})


def test_what_a_thread_charges_after_the_answer_is_not_held() -> None:
    """A caller may leave while a thread still inflates the body."""
    core = Core(Settings())
    request = Request(core, "POST", "/predict", {}, cast(Body, None))
    request.charge(100_000)
    request.release()
    request.charge(100_000)
    assert core.bodies.total == 0
