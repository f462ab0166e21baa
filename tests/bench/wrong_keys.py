"""One honest caller beside an offender who sends 10,000 different wrong keys a second.

The offender pipelines its requests on a few connections, so that the service and not the offender
is what is measured. The service's CPU without the honest caller is in the offence's name.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from shutil import copytree

from tests.bench import load, servers
from tests.bench.cases import OCTETS, Work, first_images

RATE, BURST, CONNECTIONS = 10_000, 100, 4
PAUSE_MS = 2.0
_HEAD = (
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nX-API-Key: mnist_%d\r\n\r\n"
)


def row(models: Path, version: str, seconds: int) -> dict[str, object]:
    """The row of the fair shares, with raw requests of a caller who needs no key."""
    one = Work("serve", "/predict", first_images(1).tobytes(), OCTETS, 1, 1)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder)
        copytree(models / "mnist" / version, root / "mnist" / version)
        (root / "mnist/champion").write_text(f"{version}\n")
        flags = "--keys", str(servers.keys(root)), "--open", "predict"
        server = servers.start("serve", root, version, *flags)
        try:
            alone = load.measure(one, server, seconds, pause_ms=PAUSE_MS)
            with load.committed(_offend, server.port) as statuses:
                time.sleep(1)
                before = server.cpu_s()
                time.sleep(seconds)
                cores = (server.cpu_s() - before) / seconds
                got = load.measure(one, server, seconds + 1, pause_ms=PAUSE_MS)
        finally:
            server.stop()
    return {
        "beside": f"wrong keys, {RATE:,} a second ({cores:.2f} of a core; <= 0.25)",
        "kind": "raw",
        "alone_p99_us": round(alone["p99_us"]),
        "p99_us": round(got["p99_us"]),
        "good": int(got["good"]),
        "refused": int(got["refused"] + got["late"]),
        "offender": dict(statuses),
    }


def _offend(port: int, control: Connection) -> None:
    os.sched_setaffinity(0, {int(servers.LOAD_CORE)})
    os.nice(19)
    stop, statuses = threading.Event(), Counter[int]()

    def run(first: int) -> None:
        with socket.create_connection(("127.0.0.1", port), 60, ("127.0.0.2", 0)) as connection:
            due, number = time.perf_counter(), first
            while not stop.is_set():
                keys = range(number, number + BURST)
                connection.sendall(b"".join(_HEAD % key for key in keys))
                number += BURST
                seen, rest = 0, b""
                while seen < BURST:
                    rest += connection.recv(1 << 16)
                    seen += rest.count(b"HTTP/1.1 401")
                    rest = rest[-11:]
                statuses[401] += seen
                due += BURST * CONNECTIONS / RATE
                time.sleep(max(0.0, due - time.perf_counter()))

    threads = [threading.Thread(target=run, args=(n << 32,)) for n in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    control.send("begun")
    control.recv()
    stop.set()
    for thread in threads:
        thread.join()
    control.send(statuses)
