"""Replicas that each run ``serve`` with its own door: Ray places, scales and heals them.

    python deploy/ray/fleet.py up --address 10.0.0.1:6379 --least 2 --most 8
    python deploy/ray/fleet.py addresses --address 10.0.0.1:6379
    python deploy/ray/fleet.py down --address 10.0.0.1:6379

Requests do not pass through Ray. A load balancer asks ``addresses``, or watches the file that
``--file`` names, which is replaced at every change: one HOST:PORT a line, ready ones only.
Flags after ``--`` go to every ``serve``.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import ray

NAME, PREFIX, SPACE = "mnist-fleet", "mnist-replica-", "mnist"
PERIOD_S = 0.5
START_S, SILENT_S, DRAIN_S = 60.0, 5.0, 30.0
"""How long a replica may start, be silent, and finish what it has."""
BUSY, IDLE = 0.010, 0.001
"""Mean seconds in the queue above which a replica is added, and below which one is taken away."""
SETTLE_S = 10.0
_QUEUE = re.compile(r"^mnist_queue_seconds_(sum|count)\S* (\S+)$", re.MULTILINE)


def _end_with_parent() -> None:
    """Has Linux send SIGTERM when the actor dies, so that the service drains and ends, too."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


@ray.remote(num_cpus=1, max_restarts=0)
class Replica:
    """One ``serve`` on a node."""

    def __init__(self, flags: list[str]) -> None:
        self._log = Path(tempfile.mkstemp(prefix="mnist-serve-", suffix=".log")[1])
        host = ray.util.get_node_ip_address()
        command = [sys.executable, "-m", "service", "--host", host, "--port", "0"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*command, "--log-format", "json", *flags],
                stderr=log,
                preexec_fn=_end_with_parent,  # noqa: PLW1509
            )

    def address(self) -> str | None:
        """Returns HOST:PORT once the service listens and is ready, None before."""
        if self._process.poll() is not None:
            raise RuntimeError(self._log.read_text()[-500:])
        found = re.search(rb'"url":\s*"http://([^"]+)"', self._log.read_bytes())
        if found is None:
            return None
        address = found[1].decode()
        try:
            urllib.request.urlopen(f"http://{address}/health/ready", timeout=2).close()
        except OSError:
            return None
        return address

    def queue(self, address: str) -> tuple[float, float]:
        """Returns the seconds in the queue and the requests so far."""
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=2) as reply:
            text = reply.read().decode()
        sums = {"sum": 0.0, "count": 0.0}
        for name, value in _QUEUE.findall(text):
            sums[name] += float(value)
        return sums["sum"], sums["count"]

    def drain(self) -> None:
        """Ends the service as SIGTERM does: it answers what it has and refuses new connections."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def processes(self) -> tuple[int, int]:
        """Returns the ids of the actor's process and of its service's."""
        return os.getpid(), self._process.pid


def _running() -> Iterator[Any]:
    """Yields the replicas that this cluster has."""
    for name in ray.util.list_named_actors():
        with suppress(ValueError):  # it died since
            if name.startswith(PREFIX):
                yield ray.get_actor(name)


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class Fleet:
    """Keeps between ``least`` and ``most`` replicas, spread over the nodes.

    Replicas have names and outlive it. One that Ray starts again on another node, or that ``up``
    puts in the place of another, goes on with those that run.
    """

    def __init__(self, least: int, most: int, file: str | None, flags: list[str]) -> None:
        self._least, self._most, self._file, self._flags = least, most, file, flags
        self._replicas: dict[Any, str | None] = dict.fromkeys(_running())
        self._since = dict.fromkeys(self._replicas, monotonic())
        self._wanted = min(max(len(self._replicas), least), most)
        self._queues: dict[Any, tuple[float, float]] = {}
        self._changed = monotonic()
        self._leaving = set[asyncio.Task[None]]()
        self._watch = asyncio.create_task(self._run())

    def addresses(self) -> list[str]:
        """Returns where the ready replicas listen."""
        return sorted(address for address in self._replicas.values() if address)

    def replicas(self) -> list[Any]:
        """Returns the handles of all replicas."""
        return list(self._replicas)

    async def close(self) -> None:
        """Drains all."""
        self._watch.cancel()
        leaving, self._replicas = list(self._replicas), {}
        await asyncio.gather(*(self._drain(replica) for replica in leaving), *self._leaving)

    async def _run(self) -> None:
        while True:
            await asyncio.gather(*(self._look_at(replica) for replica in list(self._replicas)))
            await self._follow_load()
            while len(self._replicas) < self._wanted:
                replica = Replica.options(
                    name=f"{PREFIX}{uuid4().hex}", lifetime="detached", scheduling_strategy="SPREAD"
                ).remote(self._flags)
                self._replicas[replica], self._since[replica] = None, monotonic()
            while len(self._replicas) > self._wanted:
                replica = next(reversed(self._replicas))
                del self._replicas[replica]
                task = asyncio.create_task(self._drain(replica))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)
            self._tell()
            await asyncio.sleep(PERIOD_S)

    async def _look_at(self, replica: Any) -> None:
        """Notes where a replica listens; forgets it if it died or is silent."""
        try:
            address = await asyncio.wait_for(replica.address.remote(), SILENT_S)
        except TimeoutError:  # it starts, or hangs
            address = None
        except ray.exceptions.RayError:
            address, self._since[replica] = None, -START_S
        if address:
            self._since[replica] = monotonic()
        self._replicas[replica] = address
        if monotonic() - self._since[replica] > START_S:
            del self._replicas[replica]
            ray.kill(replica)

    async def _follow_load(self) -> None:
        """Adds a replica where requests wait, takes one away where they do not."""
        ready = {replica: address for replica, address in self._replicas.items() if address}
        if monotonic() - self._changed < SETTLE_S or len(ready) != self._wanted:
            return
        if self._least == self._most:
            return
        self._changed = monotonic()
        waits = []
        for replica, address in ready.items():
            try:
                now = await asyncio.wait_for(replica.queue.remote(address), SILENT_S)
            except (ray.exceptions.RayError, TimeoutError):
                return
            before = self._queues.get(replica, (0.0, 0.0))
            waits.append((now[0] - before[0]) / max(now[1] - before[1], 1))
            self._queues[replica] = now
        mean = sum(waits) / len(waits)
        more = (mean > BUSY) - (mean < IDLE)
        self._wanted = min(max(self._wanted + more, self._least), self._most)

    async def _drain(self, replica: Any) -> None:
        """Ends a replica that the list no longer has; callers look at the list every second."""
        self._tell()
        await asyncio.sleep(1.0)
        with suppress(ray.exceptions.RayError, TimeoutError):
            await asyncio.wait_for(replica.drain.remote(), DRAIN_S + SILENT_S)
        ray.kill(replica)

    def _tell(self) -> None:
        if self._file is None:
            return
        text, path = "".join(f"{address}\n" for address in self.addresses()), Path(self._file)
        if not path.exists() or path.read_text() != text:
            staged = path.with_name(f".{path.name}")
            staged.write_text(text)
            staged.replace(path)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("do", choices=("up", "addresses", "down"))
    parser.add_argument("--address", default="auto")
    parser.add_argument("--least", type=int, default=1)
    parser.add_argument("--most", type=int, default=1)
    parser.add_argument("--file")
    options, flags = parser.parse_known_args()
    flags = [flag for flag in flags if flag != "--"]
    ray.init(options.address, namespace=SPACE, log_to_driver=False)
    if options.do == "up":
        most = max(options.least, options.most)
        with suppress(ValueError):
            ray.kill(ray.get_actor(NAME))
        while NAME in ray.util.list_named_actors():
            sleep(0.05)
        named = Fleet.options(name=NAME, lifetime="detached")
        fleet = named.remote(options.least, most, options.file, flags)
    else:
        try:
            fleet = ray.get_actor(NAME)
        except ValueError:
            raise SystemExit(f"fleet: no fleet runs at {options.address}") from None
    if options.do == "down":
        ray.get(fleet.close.remote())
        ray.kill(fleet)
    else:
        print("\n".join(ray.get(fleet.addresses.remote())))


if __name__ == "__main__":
    main()
