"""Callers at real connections: their shares of a busy service, and their rates."""

from __future__ import annotations

import http.client
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from tests.digits import as_form, as_json, as_picture, images
from tests.server import DOORS, Door, Server, serving
from tests.service.conftest import SLOW

RAW, JSON, PNG = "application/octet-stream", "application/json", "image/png"
GREEDY, HONEST = "127.0.0.2", "127.0.0.3"


def ask(
    connection: http.client.HTTPConnection, body: bytes, kind: str, target: str = "/predict"
) -> http.client.HTTPResponse:
    """One request on a kept connection; its answer is read."""
    connection.request("POST", target, body, {"Content-Type": kind})
    answer = connection.getresponse()
    answer.read()
    return answer


@contextmanager
def greedy(
    server: Server, connections: int, body: bytes, kind: str, target: str = "/predict"
) -> Iterator[Counter[int]]:
    """Several connections of one caller that ask again and again; the statuses of the answers."""
    stop, statuses = Event(), Counter[int]()

    def run() -> None:
        connection = server.keep(GREEDY, 120)
        while not stop.is_set():
            statuses[ask(connection, body, kind, target).status] += 1
        connection.close()

    with ThreadPoolExecutor(connections) as callers:
        runs = [callers.submit(run) for _ in range(connections)]
        try:
            yield statuses
        finally:
            stop.set()
            for each in runs:
                each.result()


@pytest.mark.parametrize("door", DOORS)
def test_the_caller_who_holds_most_of_a_full_queue_is_refused_and_no_other(
    models: Path, tmp_path: Path, door: Door
) -> None:
    flags = ("--queue-rows", "500", "--deadline-s", "120")
    target = f"/predict?version={SLOW}"
    with serving(models, tmp_path / "log", *flags, door=door) as server:
        honest = server.keep(HONEST, 120)
        assert ask(honest, images(1).tobytes(), RAW, target).status == 200
        with greedy(server, 5, as_json(images(150)), JSON, target) as statuses:
            while not statuses[429]:
                assert ask(honest, images(1).tobytes(), RAW, target).status == 200
            got = [ask(honest, images(2).tobytes(), RAW, target).status for _ in range(20)]
        honest.close()
    assert got == [200] * 20


def test_one_picture_does_not_wait_for_the_many_of_another_caller(champion: Server) -> None:
    stroke = np.zeros((100, 100), np.uint8)
    stroke[20:80, 45:55] = 255
    picture = as_picture(stroke)
    form, kind = as_form(*(("files", f"{n}.png", picture) for n in range(500)))
    honest = champion.keep(HONEST)
    with greedy(champion, 3, form, kind) as statuses:
        time.sleep(0.2)
        for _ in range(3):
            assert ask(honest, picture, PNG).status == 200
        done = statuses[200]
    honest.close()
    assert done == 0


def form_of_pictures(count: int) -> tuple[bytes, str]:
    stroke = np.zeros((100, 100), np.uint8)
    stroke[20:80, 45:55] = 255
    return as_form(*(("files", f"{n}.png", as_picture(stroke)) for n in range(count)))


def test_whose_large_work_takes_long_gets_429_for_more_while_others_ask(
    models: Path, tmp_path: Path
) -> None:
    form, kind = form_of_pictures(1500)
    with serving(models, tmp_path / "log", "--deadline-s", "4") as server:
        honest = server.keep(HONEST)
        with greedy(server, 4, form, kind) as statuses:
            while not statuses:
                assert ask(honest, images(1).tobytes(), RAW).status == 200
            assert set(statuses) == {429}, "work that others wait for is refused before any is done"
        honest.close()
        assert server.metric("mnist_rejected_total", reason="bodies_full") == statuses[429]


def test_a_form_that_its_deadline_would_end_is_refused_at_once_while_others_ask(
    models: Path, tmp_path: Path
) -> None:
    form, kind = form_of_pictures(2000)
    with serving(models, tmp_path / "log", "--deadline-s", "3") as server:
        honest, begin = server.keep(HONEST), time.monotonic()
        with greedy(server, 1, form, kind) as statuses:
            while not statuses:
                assert ask(honest, images(1).tobytes(), RAW).status == 200
            seconds, got = time.monotonic() - begin, set(statuses)
        honest.close()
    assert got == {429}
    assert seconds < 2


@pytest.mark.parametrize("door", DOORS)
def test_a_caller_gets_no_more_images_a_second_than_its_rate(
    models: Path, tmp_path: Path, door: Door
) -> None:
    with serving(models, tmp_path / "log", "--rate", "0.05", door=door) as server:
        first, second = (
            server.request(
                "POST", "/predict", images(1).tobytes(), {"Content-Type": RAW}, source=HONEST
            )
            for _ in range(2)
        )
        other = server.request("POST", "/v2/models/mnist/infer", b"", source=GREEDY)
        again = server.request("POST", "/v2/models/mnist/infer", b"", source=GREEDY)
        assert server.request("GET", "/health/ready", source=HONEST).status == 200
        assert server.metric("mnist_rejected_total", reason="rate") == 2
    assert (first.status, second.status, other.status, again.status) == (200, 429, 400, 429)
    assert first.headers["ratelimit"] == '"images";r=0;t=20'
    assert second.headers["ratelimit-policy"] == '"images";q=1;w=20;qu="images"'
    assert 15 <= int(second.headers["retry-after"]) <= 20
    assert second.json()["type"] == "urn:mnist-serve:problem:rate-spent"
    assert "retry-after" in again.headers
    assert set(again.json()) == {"error"}


def test_every_image_counts_and_a_large_request_is_paid_for_afterwards(
    models: Path, tmp_path: Path
) -> None:
    with serving(models, tmp_path / "log", "--rate", "10") as server:
        assert server.post("/predict", images(101).tobytes(), RAW).status == 200
        refused = server.post("/predict", images(1).tobytes(), RAW)
    assert refused.status == 429
    assert 8 <= int(refused.headers["retry-after"]) <= 10


def test_the_rate_is_exact_over_all_workers(models: Path, tmp_path: Path) -> None:
    """Each of several connections is at some worker."""
    rate = 100
    with serving(models, tmp_path / "log", "--rate", f"{rate}", "--workers", "2") as server:
        begin = time.monotonic()
        with greedy(server, 6, images(1).tobytes(), RAW) as statuses:
            time.sleep(2)
            seconds, good = time.monotonic() - begin, statuses[200]
    assert good <= 1.05 * rate * (seconds + 1)
    assert good >= 0.95 * rate * (seconds + 1) - 6
