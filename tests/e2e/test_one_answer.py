"""One image, one answer: sent alone, it gets the same bits in every format and protocol."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.digits import Images, as_form, as_json, as_npy, as_picture
from tests.server import Answer, Server
from tests.service.decode.samples import digits

PREDICT, INFER, V1 = "/predict", "/v2/models/mnist/infer", "/v1/models/mnist:predict"
OCTETS = "application/octet-stream"
LENGTH = "Inference-Header-Content-Length"
SAMPLE = 20
FILE = "files", "a.png"


def predicted(answer: Answer) -> Any:
    return answer.json()["predictions"][0]["probabilities"]


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def post(server: Server, value: Any, path: str = PREDICT) -> Any:
    return server.post(path, json.dumps(value).encode()).json()


def zipped(server: Server, image: Images) -> Any:
    body = gzip.compress(as_json(image[None]))
    return predicted(server.post(PREDICT, body, headers={"Content-Encoding": "gzip"}))


def v2(server: Server, data: Any, **more: Any) -> Any:
    tensor = {"name": "image", "shape": [1, 28, 28], "datatype": "UINT8", "data": data}
    return post(server, {"inputs": [tensor], **more}, INFER)["outputs"][0]["data"]


def v2_binary(server: Server, image: Images) -> Any:
    tensor = {"name": "image", "shape": [1, 28, 28], "datatype": "UINT8"}
    inputs = [tensor | {"parameters": {"binary_data_size": 784}}]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    answer = server.post(INFER, head + image.tobytes(), OCTETS, {LENGTH: str(len(head))})
    return binary(answer)


def binary(answer: Answer) -> Any:
    return struct.unpack("<10f", answer.body[int(answer.headers[LENGTH.lower()]) :])


def v2_classes(server: Server, image: Images) -> Any:
    output = {"name": "probabilities", "parameters": {"classification": 10}}
    row = [0.0] * 10
    for text in v2(server, image.ravel().tolist(), outputs=[output]):
        value, digit, _ = text.split(":")
        row[int(digit)] = float(value)
    return row


def v1_classify(server: Server, image: Images) -> Any:
    found = post(server, {"examples": [{"image": image.tolist()}]}, "/v1/models/mnist:classify")
    return [score for _, score in found["results"][0]]


WAYS: dict[str, Callable[[Server, Images], Any]] = {
    "json rows": lambda s, i: predicted(s.post(PREDICT, as_json(i[None]))),
    "json flat": lambda s, i: predicted(s.post(PREDICT, as_json(i[None], flat=True))),
    "json floats": lambda s, i: predicted(s.post(PREDICT, as_json(i[None].astype(float)))),
    "json gzip": zipped,
    "json picture": lambda s, i: predicted(
        s.post(PREDICT, json.dumps({"pictures": [b64(as_picture(i))["b64"]]}).encode())
    ),
    "npy": lambda s, i: predicted(s.post(PREDICT, as_npy(i), "application/x-npy")),
    "npy float64": lambda s, i: predicted(
        s.post(PREDICT, as_npy(i.astype(float)), "application/x-npy")
    ),
    "png": lambda s, i: predicted(s.post(PREDICT, as_picture(i), "image/png")),
    "form": lambda s, i: predicted(s.post(PREDICT, *as_form((*FILE, as_picture(i))))),
    "v1 rows": lambda s, i: post(s, {"instances": [i.tolist()]}, V1)["predictions"][0],
    "v1 columns": lambda s, i: post(s, {"inputs": {"image": [i.tolist()]}}, V1)["outputs"][0],
    "v1 b64": lambda s, i: post(s, {"instances": [b64(i.tobytes())]}, V1)["predictions"][0],
    "v1 classify": v1_classify,
    "v2 flat": lambda s, i: v2(s, i.ravel().tolist()),
    "v2 nested": lambda s, i: v2(s, [i.tolist()]),
    "v2 binary": v2_binary,
    "v2 raw": lambda s, i: binary(s.post(INFER, i.tobytes(), OCTETS, {LENGTH: "0"})),
    "v2 classes": v2_classes,
}
SENT = np.array([*digits()[:SAMPLE], np.zeros((28, 28), np.uint8)])


@pytest.fixture(scope="module")
def raw(server: Server) -> NDArray[np.float32]:
    """The probabilities (n, 10) of real digits and of an empty image, sent one by one as bytes."""
    rows = [predicted(server.post(PREDICT, image.tobytes(), OCTETS)) for image in SENT]
    return np.array(rows, np.float32)


@pytest.mark.parametrize("way", WAYS)
def test_a_way_gets_the_same_bits_as_raw_bytes(
    server: Server, raw: NDArray[np.float32], way: str
) -> None:
    rows = np.array([WAYS[way](server, image) for image in SENT], np.float32)
    assert rows.shape == (SAMPLE + 1, 10)
    assert rows.tobytes() == raw.tobytes()


def test_the_images_do_differ(raw: NDArray[np.float32]) -> None:
    assert len({row.tobytes() for row in raw}) == SAMPLE + 1
