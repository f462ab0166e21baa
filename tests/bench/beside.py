"""Whether large requests hold single ones up: the latency of one caller, alone and beside them."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from tests.bench import load
from tests.bench.cases import JSON, OCTETS, Work, first_images
from tests.bench.servers import LOAD_CORE, Server

LARGE, FLOOD = 4096, 8
PIECE_BYTES = 1 << 16


def rows(server: Server, rounds: int, seconds: int) -> list[dict[str, object]]:
    """The median p50 and p99 of single raw requests: alone, and beside each kind of large one."""
    one = Work("serve", "/predict", first_images(1).tobytes(), OCTETS, 1, 1)
    images = json.dumps({"images": first_images(LARGE).tolist()}).encode()
    digit = json.dumps({"images": first_images(1).tolist()}).encode()
    flood = f"/explain, {FLOOD} callers (<= 3 x)"
    beside: dict[str, Callable[[http.client.HTTPConnection], None]] = {
        "nothing": lambda connection: None,
        f"/predict, {LARGE:,} images as JSON": lambda c: post(c, "/predict", images),
        "/evaluate, MNIST's test set": lambda c: post(c, "/evaluate?dataset=mnist-test", b""),
        flood: lambda c: post(c, "/explain", digit),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in beside}
    for _ in range(rounds):
        for name, large in beside.items():
            with ExitStack() as senders:
                for _ in range(FLOOD if name == flood else 1):
                    senders.enter_context(repeated(server, large))
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
    """Sends the large request again and again, one at a time, on a connection of its own.

    It comes from the load's core, and makes way there for the load, whose waits would be measured.
    """
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    stop = threading.Event()

    def run() -> None:
        thread = threading.get_native_id()
        os.sched_setaffinity(thread, {int(LOAD_CORE)})
        os.setpriority(os.PRIO_PROCESS, thread, 19)
        while not stop.wait(0.01):
            large(connection)

    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(run)
        try:
            yield
        finally:
            stop.set()
            sending.result()
            connection.close()


def post(connection: http.client.HTTPConnection, target: str, body: bytes) -> None:
    """One large request, which must succeed; it comes at 2 Gbit/s."""
    connection.putrequest("POST", target)
    connection.putheader("Content-Type", JSON)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    for first in range(0, len(body), PIECE_BYTES):
        connection.send(body[first : first + PIECE_BYTES])
        time.sleep(PIECE_BYTES * 8 / 2e9)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise SystemExit(f"bench: {target}: status {answer.status}")
