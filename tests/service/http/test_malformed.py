"""More than a hundred requests that are wrong: none gives a 5xx, a traceback or a hang."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from service.inference.runtime import Runtime
from tests.digits import as_form, as_idx, as_json, as_npy, as_npz, as_picture, images
from tests.problems import check_problem
from tests.server import Server, wait_until
from tests.tiny import tiny_model_bytes

JSON, RAW, NPY, PNG = (
    "application/json",
    "application/octet-stream",
    "application/x-npy",
    "image/png",
)
ONE = images(1, 3)
RANDOM = np.random.default_rng(0)


class Wrong(NamedTuple):
    """One wrong request."""

    name: str
    body: bytes
    content_type: str | None
    target: str = "/predict"
    headers: tuple[tuple[str, str], ...] = ()


def _random_bytes() -> Iterator[Wrong]:
    for content_type in (JSON, NPY, PNG, "image/jpeg", "multipart/form-data; boundary=x"):
        for size in (1, 7, 785, 5000):
            yield Wrong(f"{size} random bytes as {content_type}", RANDOM.bytes(size), content_type)
    for size in (1, 783, 785, 1569):
        yield Wrong(f"{size} random bytes as raw", RANDOM.bytes(size), RAW)
    for coding in ("gzip", "deflate", "gzip, deflate"):
        yield Wrong(
            f"random bytes as {coding}",
            RANDOM.bytes(900),
            RAW,
            headers=(("Content-Encoding", coding),),
        )


def _truncated() -> Iterator[Wrong]:
    form, form_type = as_form(("files", "a.png", as_picture(ONE[0])))
    whole = {
        JSON: as_json(ONE),
        NPY: as_npy(ONE),
        PNG: as_picture(ONE[0]),
        "image/bmp": as_picture(ONE[0], "BMP"),
        "image/jpeg": as_picture(ONE[0], "JPEG"),
        "image/webp": as_picture(ONE[0], "WEBP", lossless=True),
        form_type: form,
    }
    for content_type, body in whole.items():
        for share in (0.0, 0.02, 0.3, 0.7):
            yield Wrong(f"{share} of {content_type}", body[: int(share * len(body))], content_type)
    zipped = gzip.compress(ONE.tobytes())
    for length in (0, 5, 10, len(zipped) // 2, len(zipped) - 1):
        yield Wrong(
            f"gzip cut at {length}", zipped[:length], RAW, headers=(("Content-Encoding", "gzip"),)
        )
    broken = bytearray(zipped)
    broken[-6] ^= 255
    yield Wrong(
        "gzip with a wrong checksum", bytes(broken), RAW, headers=(("Content-Encoding", "gzip"),)
    )
    flat = zlib.compress(ONE.tobytes())
    yield Wrong("deflate cut", flat[:-4], RAW, headers=(("Content-Encoding", "deflate"),))


ROW = "[" + ",".join(["1"] * 28) + "]"
IMAGE = "[" + ",".join([ROW] * 28) + "]"
PIXELS = (
    *("NaN", "Infinity", "-Infinity", "1e999", "1e400", "9" * 400),
    *("-1", "256", "-0.6", "255.4"),
    *("true", "null", '"7"', "[]", "{}"),
    *("0x10", "01", "1.", ".5", "+1", "--1", "1e", "\\u0031"),
)
JSON_TEXTS = (
    *("null", "7", '"images"', "[]", "{}"),
    *('{"images": null}', '{"images": 7}', '{"images": "x"}', '{"images": {}}'),
    *('{"images": [null]}', '{"images": [[]]}', '{"images": [[[]]]}'),
    *('{"images": [' + ROW + "]}", '{"images": [[' + ROW + "]]}"),
    '{"images": [' + IMAGE + "], }",
    '{"images": [' + IMAGE + '], "more": 1}',
    '{"images": [' + IMAGE + '], "images": [' + IMAGE + "]}",
    '{"images": [' + IMAGE + '], "pictures": []}',
    *('{"pictures": []}', '{"pictures": [1]}', '{"pictures": ["@@@"]}'),
    '{"pictures": ["' + base64.b64encode(b"no picture").decode() + '"]}',
    '{"pictures": "' + base64.b64encode(as_picture(ONE[0])).decode() + '"}',
    "[" * 100_000,
    '{"images":' + "[" * 50_000 + "]" * 50_000 + "}",
    '{"a":' * 20_000,
    '{"images": [' + IMAGE + "]} {}",
    '{"images": [' + IMAGE + "]}\x00",
    "\ufeff{}",
    "{'images': []}",
)


def _json() -> Iterator[Wrong]:
    for text in PIXELS:
        body = '{"images": [' + IMAGE.replace("1", text, 1) + "]}"
        yield Wrong(f"the pixel {text[:20]}", body.encode(), JSON)
    for number, text in enumerate(JSON_TEXTS):
        yield Wrong(f"JSON {number}: {text[:30]}", text.encode(), JSON)
    yield Wrong("JSON as UTF-16", as_json(ONE).decode().encode("utf-16"), JSON)
    yield Wrong("JSON with a lone surrogate", b'{"images": ["\\ud800"]}', JSON)
    yield Wrong("JSON with bytes that are no UTF-8", b'{"images": ["\xff\xfe"]}', JSON)


def _npy_header(text: str, version: tuple[int, int] = (1, 0), data: bytes = bytes(784)) -> bytes:
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text)) + text.encode() + data


def _npy() -> Iterator[Wrong]:
    objects = np.array([[None] * 28] * 28, object)
    arrays = {
        "objects": objects,
        "text": np.full((28, 28), "7"),
        "bytes": np.full((28, 28), b"7"),
        "complex": np.ones((28, 28), complex),
        "dates": np.zeros((28, 28), "M8[s]"),
        "records": np.zeros((28, 28), [("a", "u1")]),
        "no dimensions": np.array(7),
        "none": np.zeros((0, 28, 28)),
        "five dimensions": np.zeros((1, 28, 28, 1, 1)),
        "28 x 29": np.zeros((28, 29)),
        "negative": np.full((28, 28), -1, np.int8),
        "NaN": np.full((28, 28), np.nan),
        "huge": np.full((28, 28), 2**63, np.uint64),
    }
    for name, array in arrays.items():
        yield Wrong(f"npy of {name}", as_npy(array), NPY)
    good = "{'descr': '|u1', 'fortran_order': False, 'shape': (28, 28), }"
    headers = [
        good.replace("(28, 28)", "(28, 99999999999)"),
        good.replace("28, 28", "-28, -28"),
        good.replace("'|u1'", "'O'"),
        good.replace("'|u1'", "__import__('os')"),
        good.replace("False", "7"),
        good[:-3],
        good + "x" * 60_000,
        "",
        "{" * 5000,
        good.replace("(28, 28)", "28"),
        good.replace("'descr'", "'other'"),
    ]
    for number, header in enumerate(headers):
        yield Wrong(f"npy header {number}: {header[:30]}", _npy_header(header), NPY)
    yield Wrong("npy of version 9", _npy_header(good, (9, 9)), NPY)
    yield Wrong("npy cut in its data", _npy_header(good, data=bytes(783)), NPY)
    yield Wrong("npy with more data", _npy_header(good, data=bytes(785)), NPY)
    yield Wrong("a pickle", b"\x80\x04cos\nsystem\n(S'true'\ntR.", NPY)


def _bomb_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + pixels + chunk(b"IEND", b"")


def _pictures() -> Iterator[Wrong]:
    for width, height in ((100_000, 100_000), (2**31 - 1, 1), (0, 0), (1500, 1500), (28, 40)):
        yield Wrong(f"png that says {width} x {height}", _bomb_png(width, height), PNG)
    yield Wrong("an svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml")
    yield Wrong("a pdf", b"%PDF-1.7\n%%EOF", "image/png")
    yield Wrong("an EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n", "image/png")
    broken = bytearray(as_picture(ONE[0]))
    broken[40] ^= 255
    yield Wrong("png with a wrong checksum", bytes(broken), PNG)


def _forms() -> Iterator[Wrong]:
    picture = as_picture(ONE[0])
    body, content_type = as_form(("files", "a.png", picture))
    yield Wrong("form without boundary", body, "multipart/form-data")
    yield Wrong("form with an empty boundary", body, "multipart/form-data; boundary=")
    yield Wrong("form with another boundary", body, "multipart/form-data; boundary=other")
    yield Wrong(
        "form with a boundary too long", body, "multipart/form-data; boundary=" + "a" * 5000
    )
    yield Wrong("empty form", b"------digits--\r\n", content_type)
    for parts in (
        [("other", "a.png", picture)],
        [("files", "a.png", b"")],
        [("files", "a.png", picture), ("files", "b.png", b"no picture")],
        [("files", "a.png", picture), ("", None, b"")],
        [("files", None, b"text")],
        [("a", None, b"")] * 500,
    ):
        yield Wrong(f"form of {len(parts)}: {parts[-1][0]}", *as_form(*parts))
    headless = b"------digits\r\n\r\n" + picture + b"\r\n------digits--\r\n"
    yield Wrong("part without a head", headless, content_type)
    long = b'------digits\r\nContent-Disposition: form-data; name="' + b"a" * 100_000 + b'"\r\n\r\n'
    yield Wrong("part with an endless head", long, content_type)


def _heads() -> Iterator[Wrong]:
    for value in (
        "",
        "x" * 5000,
        "application/json/x",
        "/",
        ";",
        "text/html",
        "image",
        "application/x-www-form-urlencoded",
    ):
        yield Wrong(f"Content-Type {value[:20]!r}", ONE.tobytes(), value)
    yield Wrong("no Content-Type", ONE.tobytes(), None)
    for coding in ("br", "zstd", "gzip;q=1", ",".join(["gzip"] * 50), "x" * 3000):
        yield Wrong(
            f"Content-Encoding {coding[:20]}",
            ONE.tobytes(),
            RAW,
            headers=(("Content-Encoding", coding),),
        )
    for value in ("", "abc", "-5", "0", "nan", "1e-400", "--", "1 2"):
        yield Wrong(
            f"timeout {value!r}", ONE.tobytes(), RAW, headers=(("X-Request-Timeout-Ms", value),)
        )


def _targets() -> Iterator[Wrong]:
    for query in (
        "version=x",
        "version=",
        "version=-1",
        "version=%00",
        "version=1;2",
        "x=1",
        "=",
        "%",
        "version=1&version=2",
        "version=" + "9" * 5000,
    ):
        yield Wrong(f"query {query[:20]}", ONE.tobytes(), RAW, f"/predict?{query}")
    for path in (
        "/predict%00",
        "/predict/..",
        "/%2e%2e/etc/passwd",
        "/models/mnist/versions/%00",
        "/models/mnist/versions/1/2",
        "/v3",
        "/" + "a/" * 2000,
    ):
        yield Wrong(f"path {path[:30]}", ONE.tobytes(), RAW, path)


IMAGES_IDX, LABELS_IDX = as_idx(ONE), as_idx(np.array([7], np.uint8))
IMAGES_PART, LABELS_PART = ("images", "i", IMAGES_IDX), ("labels", "l", LABELS_IDX)
IMAGE_FILES = (
    b"",
    IMAGES_IDX[:-1],
    IMAGES_IDX + b"x",
    b"\0\0\x08\x03" + b"\xff" * 12,
    b"\0\0\x0d\x03" + IMAGES_IDX[4:],
    gzip.compress(IMAGES_IDX)[:-5],
    as_idx(ONE[0][:27]),
    LABELS_IDX,
    gzip.compress(bytes(5_000_000)),
)
LABEL_FILES = (
    b"",
    LABELS_IDX[:-1],
    as_idx(np.array([10], np.uint8)),
    as_idx(np.array([1, 2], np.uint8)),
    as_npy(np.array([-1])),
    as_npy(np.array([1.5])),
    as_npy(np.array(["1"])),
)
DATASETS = (
    b"",
    b"PK",
    as_npz(images=ONE),
    as_npz(images=ONE, labels=np.array([1, 2])),
    as_npz(a=ONE, b=ONE),
    as_npz(images=ONE, labels=np.array([None])),
    as_npz(images=ONE, labels=np.array([7]))[:-30],
    as_npz(images=np.zeros((1000, 28, 28), np.uint8), labels=np.zeros(1000, np.uint8)),
)


def _evaluation_forms() -> Iterator[Wrong]:
    for number, data in enumerate(IMAGE_FILES):
        form = as_form(("images", "i", data), LABELS_PART)
        yield Wrong(f"evaluate images {number}", *form, "/evaluate")
    for number, data in enumerate(LABEL_FILES):
        form = as_form(IMAGES_PART, ("labels", "l", data))
        yield Wrong(f"evaluate labels {number}", *form, "/evaluate")
    for number, data in enumerate(DATASETS):
        yield Wrong(f"evaluate dataset {number}", *as_form(("dataset", "d", data)), "/evaluate")
    whole = ("dataset", "d", as_npz(images=ONE, labels=np.array([7])))
    yield Wrong("evaluate both", *as_form(IMAGES_PART, LABELS_PART, whole), "/evaluate")


def _evaluation_json() -> Iterator[Wrong]:
    for text in ("{}", "[]", '{"images": []}', '{"labels": []}'):
        yield Wrong(f"evaluate {text}", text.encode(), JSON, "/evaluate")
    for more in ({"labels": ["7"]}, {"labels": [None]}, {"labels": 7}, {"labels": [7], "x": 1}):
        body = json.dumps({"images": ONE.tolist(), **more}).encode()
        yield Wrong(f"evaluate an image and {more}", body, JSON, "/evaluate")


ALL = [
    *_random_bytes(),
    *_truncated(),
    *_json(),
    *_npy(),
    *_pictures(),
    *_forms(),
    *_heads(),
    *_targets(),
    *_evaluation_forms(),
    *_evaluation_json(),
]


def test_there_are_more_than_a_hundred_and_no_two_are_the_same() -> None:
    assert len({wrong[1:] for wrong in ALL}) == len(ALL) > 100


@pytest.mark.parametrize("wrong", ALL, ids=lambda wrong: wrong.name)
def test_a_wrong_request_is_the_callers_fault_and_harms_nobody(
    server: Server, wrong: Wrong
) -> None:
    answer = server.post(wrong.target, wrong.body, wrong.content_type, dict(wrong.headers))
    assert 400 <= answer.status < 500, (answer.status, answer.body[:300])
    check_problem(answer, answer.status)
    after = server.post("/predict", ONE.tobytes(), RAW)
    row = np.array(after.json()["predictions"][0]["probabilities"]).astype(np.float32)
    runtime = Runtime.load(tiny_model_bytes(1), provider="cpu")
    assert row.tobytes() == runtime.run(ONE).tobytes()


def test_nothing_of_it_left_a_traceback_or_a_waiting_image(server: Server) -> None:
    assert "raceback" not in server.stderr()
    wait_until(lambda: server.metric("mnist_queue_rows") == 0)
    assert server.metric("mnist_requests_total", endpoint="/predict", status="500") == 0
