"""In a cgroup of 512 MiB, hostile requests and versions leave the service alive, right and small.

Where no cgroup can be made, the service gets the sizes that would follow from its limit, and the
test only samples what the service holds.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.background.memory import _PARTS, fitted
from service.inference.runtime import Runtime
from service.models.repository import Repository
from service.settings import Settings
from tests.digits import as_form, images
from tests.server import Server, serving, wait_until
from tests.service.http.test_malformed import ALL
from tests.service.imaging.champion import MODELS
from tests.tiny import tiny_version

pytestmark = [pytest.mark.campaign, pytest.mark.alone]
MIB = 1 << 20
LIMIT = 512 * MIB
BACK_WITHIN = 20 * MIB
JSON, RAW = "application/json", "application/octet-stream"
ONE = images(1, 3)
LARGE_MODEL_BYTES = 300_000_000
V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@contextmanager
def limited_group() -> Iterator[Path | None]:
    """A cgroup with the limit and without swap; None if there can be none here."""
    is_v1 = (V1 / "memory.limit_in_bytes").exists()
    group = (V1 if is_v1 else V2) / f"mnist-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        limit = group / ("memory.limit_in_bytes" if is_v1 else "memory.max")
        try:
            limit.write_text(str(LIMIT))
        except OSError:
            yield None
            return
        with suppress(OSError):
            name = "memory.memsw.limit_in_bytes" if is_v1 else "memory.swap.max"
            (group / name).write_text(str(LIMIT if is_v1 else 0))
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), 30)
        group.rmdir()


class Watched:
    """A service, and what it has held at most."""

    def __init__(self, server: Server, root: Path) -> None:
        self.server, self.root = server, root
        self.peak = 0
        repository = Repository(MODELS)
        champion = Runtime.load(
            repository.path(repository.champion()) / "model.onnx", provider="cpu"
        )
        self._right = champion.run(ONE).tobytes()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def resident(self) -> int:
        return resident(self.server.process.pid)

    def _watch(self) -> None:
        pid = self.server.process.pid
        while not self._done.wait(0.05):
            with suppress(OSError, IndexError):
                self.peak = max(self.peak, resident(pid))

    def check(self, hurt: Callable[[], object]) -> None:
        """The service survives what ``hurt`` does, answers right, and gives the memory back."""
        self.answers_right()
        time.sleep(3)
        before = self.resident()
        hurt()
        assert self.server.process.poll() is None, self.server.stderr()[-2000:]
        wait_until(self.answers_right, 60)
        assert self.peak < LIMIT, f"{self.peak:,} bytes"
        with suppress(AssertionError):
            wait_until(lambda: self.resident() - before < BACK_WITHIN, 20)
        grown = self.resident() - before
        print(f"peak {self.peak / MIB:.0f} MiB, before {before / MIB:.0f}, grown {grown / MIB:.1f}")
        assert grown < BACK_WITHIN
        self.peak = 0

    def answers_right(self) -> bool:
        answer = self.server.post("/predict", ONE.tobytes(), RAW)
        if answer.status == 429:
            return False
        (prediction,) = answer.json()["predictions"]
        row = np.array(prediction["probabilities"], np.float32)
        assert row.tobytes() == self._right
        return True

    def together(self, count: int, ask: Callable[[int], int]) -> list[int]:
        """The statuses of ``count`` requests, sent by eight at a time; 0 where there is none."""

        def one(number: int) -> int:
            try:
                return ask(number)
            except (OSError, HTTPException):
                return 0

        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(one, range(count)))


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The committed champion, and a version of 300 MB, which may be read and is no model."""
    root, folder = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("memory")
    (root / "mnist").mkdir()
    repository = Repository(MODELS)
    champion = repository.champion()
    (root / "mnist" / str(champion)).symlink_to(repository.path(champion).absolute())
    (root / "mnist/champion").write_text(f"{champion}\n")
    version = tiny_version(root, 90, b"")
    with (version / "model.onnx").open("wb") as file:
        file.truncate(LARGE_MODEL_BYTES)
    card = json.loads((version / "card.json").read_text())
    card["sha256"] = hashlib.sha256(bytes(LARGE_MODEL_BYTES)).hexdigest()
    (version / "card.json").write_text(json.dumps(card))
    flags = ["--max-model-bytes", "400000000", "--body-timeout-s", "5"]
    with ExitStack() as held, pytest.MonkeyPatch.context() as patched:
        group = held.enter_context(limited_group())
        if group is None:
            sizes = fitted(Settings(), LIMIT)
            for name in _PARTS.keys() - {"max_model_bytes"}:
                flags += [f"--{name.replace('_', '-')}", str(getattr(sizes, name))]
        else:
            python = folder / "python"
            python.write_text(
                f'#!/bin/sh\necho $$ > {group}/cgroup.procs\nexec {sys.executable} "$@"\n'
            )
            python.chmod(0o755)
            patched.setattr(sys, "executable", str(python))
        server = held.enter_context(serving(root, folder / "stderr", *flags))
        patched.undo()
        with Watched(server, root) as watching:
            yield watching


def test_wrong_requests(watched: Watched) -> None:
    server = watched.server

    def ask(number: int) -> int:
        wrong = ALL[number]
        return server.post(wrong.target, wrong.body, wrong.content_type, dict(wrong.headers)).status

    def hurt() -> None:
        assert max(watched.together(len(ALL), ask)) < 500

    hurt()  # what the first use of each decoder loads stays
    watched.check(hurt)


def test_bodies_that_inflate(watched: Watched) -> None:
    """Nested gzip, gzip and deflate to the limits, IDX and .npz files that inflate in forms."""
    server = watched.server
    zeros = gzip.compress(bytes(200 * MIB), 9)
    archive = io.BytesIO()
    np.savez_compressed(archive, x_test=np.zeros((25_000, 28, 28), np.uint8), y_test=np.zeros(9))
    form, form_type = as_form(("images", "i", zeros), ("labels", "l", zeros))
    dataset, dataset_type = as_form(("dataset", "d", archive.getvalue()))
    several, several_type = as_form(*[("files", "a", bytes(1000))] * 4000)
    sent = [
        ("/evaluate", gzip.compress(zeros), JSON, "gzip, gzip"),
        ("/evaluate", zeros, JSON, "gzip"),
        ("/evaluate", gzip.compress(bytes(25 * MIB)), JSON, "gzip"),
        ("/predict", gzip.compress(bytes(16 * MIB)), RAW, "gzip"),
        (
            "/predict",
            gzip.compress(b'{"images":[' + b"[]," * 5_000_000),
            JSON,
            "gzip",
        ),
        ("/predict", gzip.compress(several), several_type, "gzip"),
        ("/evaluate", form, form_type, "identity"),
        ("/evaluate", gzip.compress(form), form_type, "gzip"),
        ("/evaluate", dataset, dataset_type, "identity"),
    ]

    def ask(number: int) -> int:
        target, body, kind, encoding = sent[number % len(sent)]
        return server.post(target, body, kind, {"Content-Encoding": encoding}).status

    def hurt() -> None:
        statuses = watched.together(8 * len(sent), ask)
        assert set(statuses) <= {200, 400, 413, 415, 422, 429, 504}, statuses

    watched.check(hurt)


def test_300_slow_large_bodies(watched: Watched) -> None:
    """They announce 16 MiB each, and 4.7 GB together; they send some, and then all they can."""
    server = watched.server
    head = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % (16 * MIB)
    )

    def hurt() -> None:
        with ExitStack() as kept:
            slow = [kept.enter_context(server.connect()) for _ in range(300)]
            for connection in slow:
                with suppress(OSError):
                    connection.sendall(head + b'{"images": [' + bytes(60_000))
            assert watched.answers_right()
            for connection in slow:
                connection.settimeout(0.05)
                with suppress(OSError):
                    connection.sendall(b" " * 3 * MIB)

    watched.check(hurt)


def pictures() -> dict[str, bytes]:
    kinds: list[tuple[str, int, str, str, dict[str, object]]] = [
        ("png in colour", 8000, "RGBA", "PNG", {"compress_level": 1}),
        ("grey png", 8000, "L", "PNG", {"compress_level": 1}),
        ("jpeg", 8000, "RGB", "JPEG", {}),
        ("progressive jpeg", 8000, "L", "JPEG", {"progressive": True}),
        ("webp", 4000, "RGB", "WEBP", {"lossless": True, "method": 0}),
        ("png of 16 bits", 8000, "I;16", "PNG", {"compress_level": 1}),
        ("colour png of 16 megapixels", 4000, "RGBA", "PNG", {"compress_level": 1}),
    ]
    made = {}
    for name, side, mode, kind, options in kinds:
        file = io.BytesIO()
        Image.new(mode, (side, side), None if mode == "I;16" else "white").save(
            file, kind, **options
        )
        made[name] = file.getvalue()
    return made


def test_pictures_of_64_megapixels(watched: Watched) -> None:
    server = watched.server
    sent = list(pictures().values())

    def ask(number: int) -> int:
        return server.post("/predict", sent[number % len(sent)], "image/png").status

    def hurt() -> None:
        statuses = watched.together(3 * len(sent), ask)
        assert set(statuses) <= {200, 413, 429, 504}, statuses
        assert 200 in statuses

    watched.check(hurt)


def test_100_failed_loads_of_a_version_of_300_mb(watched: Watched) -> None:
    server, model = watched.server, watched.root / "mnist/90/model.onnx"

    def hurt() -> None:
        failed = server.metric("mnist_model_loads_total", result="failed")
        for attempt in range(1, 101):
            os.utime(model, (attempt, attempt))
            wait_until(lambda: load() == 503, 60)
            loads = server.metric("mnist_model_loads_total", result="failed") - failed
            assert loads == attempt

    def load() -> int:
        with suppress(OSError, socket.timeout):
            return server.post("/predict?version=90", ONE.tobytes(), RAW).status
        return 0

    watched.check(hurt)
