"""Whether one caller's large requests hold up single ones: its own, and those of another caller.

The other caller, who asks for far too much, has an address and a process of its own. It may be
refused; the honest caller may not.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from tests.bench import load, servers
from tests.bench.cases import JSON, OCTETS, PNG, Work, first_images
from tests.bench.servers import LOAD_CORE, Server

LARGE, FLOOD = 4096, 8
PIECE_BYTES = 1 << 16
OFFENDER = "127.0.0.2"
VERSIONS = ("2", "3", "4", "5", "6")
PAUSE_MS = 2.0
TARGET, PNG_TARGET_MS = 3.0, 100.0


@dataclass(frozen=True)
class Offence:
    """What an offender sends over and over, and on how many connections."""

    name: str
    connections: int
    targets: tuple[str, ...]
    body: bytes = b""
    media_type: str = OCTETS


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


def shares(models: Path, version: str, seconds: int) -> list[dict[str, object]]:
    """For each kind of single request and each offence: the latency, alone and beside it."""
    found: list[dict[str, object]] = []
    one = first_images(1)
    raw = Work("serve", "/predict", one.tobytes(), OCTETS, 1, 1)
    text = replace(raw, body=json.dumps({"images": one.tolist()}).encode(), media_type=JSON)
    works = {"raw": raw, "JSON": text, "PNG": replace(raw, body=_picture(), media_type=PNG)}
    with _several_versions(models, version) as server:
        for offence in _offences():
            for kind, work in works.items():
                # Right before, for the machine's own stalls come and go within minutes; but once
                # the service has forgotten the offender before.
                time.sleep(2)
                alone = load.measure(work, server, seconds + 1, pause_ms=PAUSE_MS)
                with load.committed(_offend, offence, server.port) as statuses:
                    time.sleep(1)
                    got = load.measure(work, server, seconds + 1, pause_ms=PAUSE_MS)
                found.append(
                    {
                        "beside": offence.name,
                        "kind": kind,
                        "alone_p99_us": round(alone["p99_us"]),
                        "p99_us": round(got["p99_us"]),
                        "good": int(got["good"]),
                        "refused": int(got["refused"] + got["late"]),
                        "offender": dict(statuses),
                    }
                )
    return found


def target_us(row: dict[str, object]) -> float:
    """The most that the row's p99 may be."""
    least = 1e3 * PNG_TARGET_MS if row["kind"] == "PNG" else 0.0
    return max(least, TARGET * float(str(row["alone_p99_us"])))


def _offences() -> list[Offence]:
    images = json.dumps({"images": first_images(LARGE).tolist()}).encode()
    form, kind = _form([_picture()] * LARGE)
    each = tuple(f"/predict?version={version}" for version in VERSIONS)
    return [
        Offence("5 connections of 4,096 images as JSON", 5, ("/predict",), images, JSON),
        Offence("3 forms of 4,096 PNGs", 3, ("/predict",), form, kind),
        Offence("5 loops of /evaluate", 5, ("/evaluate?dataset=mnist-test",)),
        Offence("5 loops over ?version=", 5, each, first_images(1).tobytes()),
    ]


@contextmanager
def _several_versions(models: Path, version: str) -> Iterator[Server]:
    """``serve`` with its champion, and copies of it under other numbers."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder) / "mnist"
        for name in (version, *VERSIONS):
            shutil.copytree(models / "mnist" / version, root / name)
            card = json.loads((root / name / "card.json").read_text())
            (root / name / "card.json").write_text(json.dumps(card | {"version": name}))
        (root / "champion").write_text(f"{version}\n")
        server = servers.start("serve", Path(folder), version)
        try:
            yield server
        finally:
            server.stop()


def _offend(offence: Offence, port: int, control: Connection) -> None:
    """The offender's process; it makes way on its core for the load, whose waits are measured."""
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    os.nice(19)
    statuses, stop = Counter[int](), threading.Event()

    def run(first: int) -> None:
        number = first
        while not stop.is_set():
            # In pieces: one call that sends 12 MB keeps the load from its core for milliseconds.
            connection = http.client.HTTPConnection(
                "127.0.0.1", port, 120, (OFFENDER, 0), blocksize=PIECE_BYTES
            )
            try:
                while not stop.is_set():
                    target = offence.targets[number % len(offence.targets)]
                    number += 1
                    size = str(len(offence.body))
                    headers = {"Content-Type": offence.media_type, "Content-Length": size}
                    connection.request("POST", target, io.BytesIO(offence.body), headers)
                    answer = connection.getresponse()
                    answer.read()
                    statuses[answer.status] += 1
            except (OSError, http.client.HTTPException):
                statuses[0] += 1  # refused in the middle of its body
            finally:
                connection.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(offence.connections)]
    for thread in threads:
        thread.start()
    control.send("begun")
    control.recv()
    stop.set()
    for thread in threads:
        thread.join()
    control.send(statuses)


def _picture() -> bytes:
    """A digit of 84 x 84 pixels, which is searched for and normalised."""
    out = io.BytesIO()
    Image.fromarray(np.kron(first_images(1)[0], np.ones((3, 3), np.uint8))).save(out, "PNG")
    return out.getvalue()


def _form(pictures: list[bytes]) -> tuple[bytes, str]:
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body = b"".join(head + picture + b"\r\n" for picture in pictures) + b"--b--\r\n"
    return body, "multipart/form-data; boundary=b"
