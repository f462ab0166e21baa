"""More than a hundred requests that are wrong: none gives a 5xx, a traceback or a hang."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from typing import NamedTuple

import numpy as np
import pytest

from service.inference.runtime import Runtime
from tests.digits import as_form, as_idx, as_json, as_npy, as_npz, as_picture, images
from tests.problems import check_problem
from tests.server import Server, wait_until
from tests.service.imaging.files import png_of_size
from tests.tiny import tiny_model_bytes

JSON, RAW, NPY, PNG = (
    *("application/json", "application/octet-stream"),
    *("application/x-npy", "image/png"),
)
ONE = images(1, 3)
RANDOM = np.random.default_rng(0)


class Wrong(NamedTuple):
    """One wrong request, to ``/predict`` unless it says otherwise."""

    body: bytes
    content_type: str | None
    target: str = "/predict"
    headers: tuple[tuple[str, str], ...] = ()


def _encoded(body: bytes, coding: str) -> Wrong:
    return Wrong(body, RAW, headers=(("Content-Encoding", coding),))


FORM, FORM_TYPE = as_form(("files", "a.png", as_picture(ONE[0])))
ZIPPED = gzip.compress(ONE.tobytes())
RANDOM_BYTES = [
    *(
        Wrong(RANDOM.bytes(size), kind)
        for kind in (JSON, NPY, PNG, "image/jpeg", "multipart/form-data; boundary=x")
        for size in (1, 7, 785, 5000)
    ),
    *(Wrong(RANDOM.bytes(size), RAW) for size in (1, 783, 785, 1569)),
    *(_encoded(RANDOM.bytes(900), coding) for coding in ("gzip", "deflate", "gzip, deflate")),
]
WHOLE = {
    JSON: as_json(ONE),
    NPY: as_npy(ONE),
    PNG: as_picture(ONE[0]),
    "image/bmp": as_picture(ONE[0], "BMP"),
    "image/jpeg": as_picture(ONE[0], "JPEG"),
    "image/webp": as_picture(ONE[0], "WEBP", lossless=True),
    FORM_TYPE: FORM,
}
TRUNCATED = [
    *(
        Wrong(body[: int(share * len(body))], kind)
        for kind, body in WHOLE.items()
        for share in (0.0, 0.02, 0.3, 0.7)
    ),
    *(_encoded(ZIPPED[:n], "gzip") for n in (0, 5, 10, len(ZIPPED) // 2, len(ZIPPED) - 1)),
    _encoded(ZIPPED[:-6] + bytes([ZIPPED[-6] ^ 255]) + ZIPPED[-5:], "gzip"),  # a wrong checksum
    _encoded(zlib.compress(ONE.tobytes())[:-4], "deflate"),
]

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


PIXEL_TEXTS = ['{"images": [' + IMAGE.replace("1", text, 1) + "]}" for text in PIXELS]
JSONS = [
    *(Wrong(text.encode(), JSON) for text in (*PIXEL_TEXTS, *JSON_TEXTS)),
    Wrong(as_json(ONE).decode().encode("utf-16"), JSON),
    Wrong(b'{"images": ["\\ud800"]}', JSON),  # a lone surrogate
    Wrong(b'{"images": ["\xff\xfe"]}', JSON),  # no UTF-8
]

ARRAYS = (
    np.array([[None] * 28] * 28, object),
    np.full((28, 28), "7"),
    np.full((28, 28), b"7"),
    np.ones((28, 28), complex),
    np.zeros((28, 28), "M8[s]"),
    np.zeros((28, 28), [("a", "u1")]),
    np.array(7),
    np.zeros((0, 28, 28)),
    np.zeros((1, 28, 28, 1, 1)),
    np.zeros((28, 29)),
    np.full((28, 28), -1, np.int8),
    np.full((28, 28), np.nan),
    np.full((28, 28), 2**63, np.uint64),
)
GOOD = "{'descr': '|u1', 'fortran_order': False, 'shape': (28, 28), }"
NPY_HEADERS = (
    GOOD.replace("(28, 28)", "(28, 99999999999)"),
    GOOD.replace("28, 28", "-28, -28"),
    GOOD.replace("'|u1'", "'O'"),
    GOOD.replace("'|u1'", "__import__('os')"),
    GOOD.replace("False", "7"),
    GOOD[:-3],
    GOOD + "x" * 60_000,
    "",
    "{" * 5000,
    GOOD.replace("(28, 28)", "28"),
    GOOD.replace("'descr'", "'other'"),
)


def _npy(header: str, version: tuple[int, int] = (1, 0), data: bytes = bytes(784)) -> Wrong:
    start = b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(header))
    return Wrong(start + header.encode() + data, NPY)


NPYS = [
    *(Wrong(as_npy(array), NPY) for array in ARRAYS),
    *(_npy(header) for header in NPY_HEADERS),
    *(_npy(GOOD, (9, 9)), _npy(GOOD, data=bytes(783)), _npy(GOOD, data=bytes(785))),
    Wrong(b"\x80\x04cos\nsystem\n(S'true'\ntR.", NPY),  # a pickle
]
SIZES = ((100_000, 100_000), (2**31 - 1, 1), (0, 0), (1500, 1500))
A_PICTURE = as_picture(ONE[0])
PICTURES = [
    *(Wrong(png_of_size(*size), PNG) for size in SIZES),
    Wrong(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    Wrong(b"%PDF-1.7\n%%EOF", PNG),
    Wrong(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n", PNG),
    Wrong(A_PICTURE[:40] + bytes([A_PICTURE[40] ^ 255]) + A_PICTURE[41:], PNG),  # a wrong checksum
]
LONG_NAME = b'------digits\r\nContent-Disposition: form-data; name="' + b"a" * 100_000
FORMS = [
    *(
        Wrong(FORM, "multipart/form-data" + parameter)
        for parameter in ("", "; boundary=", "; boundary=other", "; boundary=" + "a" * 5000)
    ),
    Wrong(b"------digits--\r\n", FORM_TYPE),
    Wrong(b"------digits\r\n\r\n" + A_PICTURE + b"\r\n------digits--\r\n", FORM_TYPE),
    Wrong(LONG_NAME + b'"\r\n\r\n', FORM_TYPE),
    *(
        Wrong(*as_form(*parts))
        for parts in (
            [("other", "a.png", A_PICTURE)],
            [("files", "a.png", b"")],
            [("files", "a.png", A_PICTURE), ("files", "b.png", b"no picture")],
            [("files", "a.png", A_PICTURE), ("", None, b"")],
            [("files", None, b"text")],
            [("a", None, b"")] * 500,
        )
    ),
]
TYPES = (
    *("", "x" * 5000, "application/json/x", "/", ";", "text/html", "image", None),
    "application/x-www-form-urlencoded",
)
CODINGS = ("br", "zstd", "gzip;q=1", ",".join(["gzip"] * 50), "x" * 3000)
TIMEOUTS = ("", "abc", "-5", "0", "nan", "1e-400", "--", "1 2")
QUERIES = (
    *("version=x", "version=", "version=-1", "version=%00", "version=1;2", "x=1", "=", "%"),
    *("version=1&version=2", "version=" + "9" * 5000),
)
PATHS = (
    *("/predict%00", "/predict/..", "/%2e%2e/etc/passwd", "/models/mnist/versions/%00"),
    *("/models/mnist/versions/1/2", "/v3", "/" + "a/" * 2000),
)
HEADS = [
    *(Wrong(ONE.tobytes(), kind) for kind in TYPES),
    *(_encoded(ONE.tobytes(), coding) for coding in CODINGS),
    *(Wrong(ONE.tobytes(), RAW, headers=(("X-Request-Timeout-Ms", ms),)) for ms in TIMEOUTS),
    *(Wrong(ONE.tobytes(), RAW, f"/predict?{query}") for query in QUERIES),
    *(Wrong(ONE.tobytes(), RAW, path) for path in PATHS),
]

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


EVALUATED = [
    *(as_form(("images", "i", data), LABELS_PART) for data in IMAGE_FILES),
    *(as_form(IMAGES_PART, ("labels", "l", data)) for data in LABEL_FILES),
    *(as_form(("dataset", "d", data)) for data in DATASETS),
    as_form(IMAGES_PART, LABELS_PART, ("dataset", "d", as_npz(images=ONE, labels=np.array([7])))),
    *((text, JSON) for text in (b"{}", b"[]", b'{"images": []}', b'{"labels": []}')),
    *(
        (json.dumps({"images": ONE.tolist(), **more}).encode(), JSON)
        for more in ({"labels": ["7"]}, {"labels": [None]}, {"labels": 7}, {"labels": [7], "x": 1})
    ),
]
EVALUATIONS = [Wrong(body, kind, "/evaluate") for body, kind in EVALUATED]
ALL = [*(*RANDOM_BYTES, *TRUNCATED, *JSONS, *NPYS, *PICTURES, *FORMS, *HEADS, *EVALUATIONS)]


def test_there_are_more_than_a_hundred_and_no_two_are_the_same() -> None:
    assert len(set(ALL)) == len(ALL) > 100


@pytest.mark.parametrize("wrong", ALL, ids=lambda w: f"{w.target} {w.content_type}"[:60])
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
