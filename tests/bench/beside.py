"""Whether large requests hold single ones up: the latency of one caller, alone and beside them."""

from __future__ import annotations

import http.client
import json
import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.bench import load
from tests.bench.cases import JSON, OCTETS, Work, first_images
from tests.bench.servers import Server

LARGE = 4096


def rows(server: Server, rounds: int, seconds: int) -> list[dict[str, object]]:
    """The median p50 and p99 of single raw requests: alone, and beside each kind of large one."""
    one = Work("service", "/predict", first_images(1).tobytes(), OCTETS, 1, 1)
    images = json.dumps({"images": first_images(LARGE).tolist()}).encode()
    beside: dict[str, Callable[[http.client.HTTPConnection], None]] = {
        "nothing": lambda connection: None,
        f"/predict, {LARGE:,} images as JSON": lambda c: post(c, "/predict", images),
        "/evaluate, MNIST's test set": lambda c: post(c, "/evaluate?dataset=mnist-test", b""),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in beside}
    for _ in range(rounds):
        for name, large in beside.items():
            with repeated(server, large):
                found[name].append(load.measure(one, server, seconds))
    return [
        {
            "beside": name,
            "p50_us": round(statistics.median(f["p50_us"] for f in figures)),
            "p99_us": round(statistics.median(f["p99_us"] for f in figures)),
        }
        for name, figures in found.items()
    ]


@contextmanager
def repeated(server: Server, large: Callable[[http.client.HTTPConnection], None]) -> Iterator[None]:
    """Sends the large request again and again, one at a time, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.01):
            large(connection)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        connection.close()


def post(connection: http.client.HTTPConnection, target: str, body: bytes) -> None:
    """One large request, which must succeed."""
    connection.request("POST", target, body, {"Content-Type": JSON})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise SystemExit(f"bench: {target}: status {answer.status}")
