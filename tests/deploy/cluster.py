"""A real cluster of Ray on this machine, and a load that counts what fails."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.service.decode.samples import digits

BODY = digits()[:1].tobytes()
HEADERS = {"Content-Type": "application/octet-stream"}


@contextmanager
def cluster(environment: dict[str, str], nodes: int = 2, cores: int = 2) -> Iterator[Any]:
    """A head without a core for replicas, and ``nodes`` that have some; yields it and the nodes."""
    import ray
    from ray.cluster_utils import Cluster

    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    shared: Any = {"object_store_memory": 100 << 20}
    running: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **shared})
    try:
        workers = [running.add_node(num_cpus=cores, **shared) for _ in range(nodes)]
        yield running, workers
    finally:
        ray.shutdown()
        running.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


class Load:
    """Callers that ask one request after the other on kept connections, as a proxy does for many.

    ``where`` returns the addresses; a caller leaves one that is no longer among them, and asks
    another where a connection is refused or was closed before the request, as any proxy does.
    """

    def __init__(
        self,
        where: Callable[[], list[str]],
        callers: int = 4,
        body: bytes = BODY,
        pause: float = 0.02,
    ) -> None:
        self.where, self.versions, self.failures = where, Counter[str](), list[str]()
        self._body, self._pause = body, pause
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(number,)) for number in range(callers)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self, number: int) -> None:
        held: dict[str, http.client.HTTPConnection] = {}
        turn = number
        while not self._stop.wait(self._pause):
            addresses = self.where()
            for gone in held.keys() - set(addresses):
                held.pop(gone).close()
            if not addresses:
                continue
            turn += 1
            address = addresses[turn % len(addresses)]
            try:
                connection = held.get(address) or http.client.HTTPConnection(address, timeout=30)
                connection.request("POST", "/predict", self._body, HEADERS)
            except OSError:
                held.pop(address, None)
                continue
            try:
                reply = connection.getresponse()
                content = reply.read()
                if reply.status != 200:
                    self.failures.append(f"{reply.status} {content[:200]!r}")
                else:
                    self.versions[json.loads(content)["version"]] += 1
                held[address] = connection
                if reply.will_close:
                    held.pop(address).close()
            except (OSError, http.client.HTTPException) as error:
                reused = address in held and isinstance(error, http.client.RemoteDisconnected)
                held.pop(address, None)
                if not reused:
                    self.failures.append(f"{type(error).__name__}: {error}")


def eventually(check: Callable[[], object], seconds: float) -> float:
    """Waits until ``check`` returns something true; returns how long that took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - began
