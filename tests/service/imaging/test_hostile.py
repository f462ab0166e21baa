"""Damaged files, textures with too many components and huge pictures stay within bounds."""

from __future__ import annotations

import http.client
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from time import perf_counter, process_time, sleep
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.errors import Fault
from service.imaging.load import Picture, open_picture
from service.imaging.pipeline import preprocess
from service.types import Images, Limits
from tests.pace import slowness
from tests.server import Server, serving
from tests.service.decode.samples import encode, picture
from tests.service.imaging.champion import MODELS, resident_mib

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
FORMS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("PNG", "L", {}),
    ("PNG", "P", {}),
    ("JPEG", "L", {}),
    ("JPEG", "RGB", {"progressive": True}),
    ("WebP", "RGB", {}),
    ("WebP", "RGBA", {"lossless": True}),
    ("BMP", "P", {}),
    ("GIF", "L", {}),
    ("TIFF", "L", {}),
    ("TIFF", "L", {"compression": "tiff_lzw"}),
    ("TIFF", "1", {"compression": "group4"}),
)
EXTREMES = (0, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
RANDOM = np.random.default_rng(5)
Y, X = np.mgrid[:640, :640]


@pytest.mark.parametrize(("kind", "mode", "options"), FORMS)
def test_a_file_that_is_cut_or_changed_anywhere_is_decoded_or_rejected_in_time(
    kind: str, mode: str, options: dict[str, Any]
) -> None:
    whole = picture(kind, mode, **options)
    random = np.random.default_rng(1)

    def seconds(body: bytes) -> float:
        start = process_time()
        with suppress(Fault):
            preprocess(open_picture(body, Limits(picture_pixels=1_000_000)))
        return process_time() - start

    slowest, slow = 0.0, b""
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << int(random.integers(8))
        number = struct.pack(str(random.choice(["<I", ">I"])), random.choice(EXTREMES))
        with_number = whole[:at] + number + whole[at + 4 :]
        for body in (whole[:at], bytes(changed), with_number):
            slowest, slow = max((slowest, slow), (seconds(body), body))
    assert min(seconds(slow) for _ in range(3)) < 0.2 * slowness()  # other work may slow one


def texture(ink: NDArray[np.bool_]) -> Callable[[], Images]:
    return lambda: np.where(ink, 0, 255).astype(np.uint8)


def strokes() -> Images:
    image = Image.new("L", (4000, 4000), 240)
    pen = ImageDraw.Draw(image)
    for x, y, dx, dy in np.random.default_rng(1).integers(0, 4000, (3000, 4)).tolist():
        pen.line([(x, y), (x + dx % 160 - 80, y + dy % 160 - 80)], 20, 6)
    return np.asarray(image)


TEXTURES: dict[str, Callable[[], Images]] = {
    "noise": lambda: RANDOM.integers(0, 256, (1280, 1280)).astype(np.uint8),
    "sparse noise": texture(RANDOM.random((640, 640)) < 0.1),
    "coarse noise": texture(np.kron(RANDOM.random((128, 128)) < 0.5, np.ones((5, 5))) > 0),
    "checks of one pixel": texture((X + Y) % 2 == 0),
    "checks of four pixels": texture((X // 4 + Y // 4) % 2 == 0),
    "dots of one pixel": texture((X % 3 == 0) & (Y % 3 == 0)),
    "dots of four pixels": texture((X % 8 < 4) & (Y % 8 < 4)),
    "a comb": texture((X % 4 == 0) | (Y == 639)),
    "a spiral": texture((np.hypot(X - 320, Y - 320) / 8 - np.arctan2(Y, X) / 6.28) % 1 < 0.5),
    "rings": texture(np.hypot(X - 320, Y - 320) % 6 < 3),
    "3,000 strokes": strokes,
}


@pytest.mark.alone
@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_takes_less_than_100_ms(name: str) -> None:
    grey = TEXTURES[name]()
    times = []
    for _ in range(3):
        start = process_time()
        preprocess(Picture(grey, (grey.shape[1], grey.shape[0])))
        times.append(process_time() - start)
    assert min(times) < 0.1 * slowness()


LARGE: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "PNG with transparency": (8000, "RGBA", "PNG", {"compress_level": 1}),
    "TIFF in colour": (4000, "RGB", "TIFF", {"compression": "tiff_lzw"}),
    "WebP in colour": (4000, "RGB", "WebP", {"method": 0, "lossless": True}),
}
"""The largest pictures that are allowed, by their side."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(MODELS, tmp_path_factory.mktemp("log") / "stderr") as running:
        yield running


@pytest.mark.campaign
@pytest.mark.alone
@pytest.mark.parametrize("name", LARGE)
def test_beside_the_largest_pictures_small_requests_are_answered_and_memory_stays_bounded(
    server: Server, name: str
) -> None:
    side, mode, kind, options = LARGE[name]
    body = encode(Image.new(mode, (side, side), "white"), kind, **options)
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)

    def ask() -> None:
        connection.request("POST", "/predict", picture(), {"Content-Type": "image/png"})
        assert connection.getresponse().read().startswith(b'{"model"')

    before = most = resident_mib(server)
    longest = []
    for _ in range(3):
        with repeated(ask) as waits, repeated(lambda: sleep(0.002)) as sleeps:
            with ThreadPoolExecutor(3) as pool:
                large = [pool.submit(server.post, "/predict", body, "image/png") for _ in range(3)]
                while not all(one.done() for one in large):
                    most = max(most, resident_mib(server))
                    sleep(0.005)
            assert [one.result().status for one in large] == [200] * 3
        longest.append(max(waits) - max(sleeps))  # without the delays of the machine itself
    connection.close()
    assert most - before < 500  # three at once would take a gigabyte and more
    assert min(longest) < 0.2


@contextmanager
def repeated(step: Callable[[], None]) -> Iterator[list[float]]:
    """Repeats a step on a thread; yields the time that each took."""
    times: list[float] = []
    done = threading.Event()

    def repeat() -> None:
        while not done.is_set():
            start = perf_counter()
            step()
            times.append(perf_counter() - start)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield times
    finally:
        done.set()
        thread.join()
