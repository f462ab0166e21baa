"""One image, one answer: sent alone it gives the same bits, whichever way it comes."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.server import Answer, Server, serving
from tests.service.decode.samples import digits, npy
from tests.tiny import tiny_repository

Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]

PREDICT, INFER, V1 = "/predict", "/v2/models/mnist/infer", "/v1/models/mnist:predict"
OCTETS = "application/octet-stream"
LENGTH = "Inference-Header-Content-Length"
SAMPLE = 20


def predicted(answer: Answer) -> Any:
    return answer.json()["predictions"][0]["probabilities"]


def png(image: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def as_json(server: Server, value: Any, path: str = PREDICT) -> Answer:
    return server.post(path, json.dumps(value).encode())


def form(server: Server, image: Pixels) -> Answer:
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body = head + png(image) + b"\r\n--x--\r\n"
    return server.post(PREDICT, body, "multipart/form-data; boundary=x")


def tensor(data: Any = None, **parameters: Any) -> dict[str, Any]:
    whole = {"name": "image", "shape": [1, 28, 28], "datatype": "UINT8"}
    if data is not None:
        whole["data"] = data
    return whole | {"parameters": parameters}


def v2_json(server: Server, data: Any) -> Any:
    return as_json(server, {"inputs": [tensor(data)]}, INFER).json()["outputs"][0]["data"]


def v2_binary(server: Server, image: Pixels) -> Any:
    request = {"inputs": [tensor(binary_data_size=784)], "parameters": {"binary_data_output": True}}
    head = json.dumps(request).encode()
    answer = server.post(INFER, head + image.tobytes(), OCTETS, {LENGTH: str(len(head))})
    return binary(answer)


def binary(answer: Answer) -> Any:
    return struct.unpack("<10f", answer.body[int(answer.headers[LENGTH.lower()]) :])


def v2_classes(server: Server, image: Pixels) -> Any:
    output = {"name": "probabilities", "parameters": {"classification": 10}}
    request = {"inputs": [tensor(image.ravel().tolist())], "outputs": [output]}
    texts = as_json(server, request, INFER).json()["outputs"][0]["data"]
    row = [0.0] * 10
    for value, digit, _ in (text.split(":") for text in texts):
        row[int(digit)] = float(value)
    return row


WAYS: dict[str, Callable[[Server, Pixels], Any]] = {
    "json rows": lambda s, i: predicted(as_json(s, {"images": [i.tolist()]})),
    "json flat": lambda s, i: predicted(as_json(s, {"images": [i.ravel().tolist()]})),
    "json floats": lambda s, i: predicted(as_json(s, {"images": [i.astype(float).tolist()]})),
    "json gzip": lambda s, i: predicted(
        s.post(
            PREDICT,
            gzip.compress(json.dumps({"images": [i.tolist()]}).encode()),
            headers={"Content-Encoding": "gzip"},
        )
    ),
    "json picture": lambda s, i: predicted(as_json(s, {"pictures": [b64(png(i))]})),
    "raw": lambda s, i: predicted(s.post(PREDICT, i.tobytes(), OCTETS)),
    "npy": lambda s, i: predicted(s.post(PREDICT, npy(i), "application/x-npy")),
    "npy float64": lambda s, i: predicted(
        s.post(PREDICT, npy(i.astype(float)), "application/x-npy")
    ),
    "png": lambda s, i: predicted(s.post(PREDICT, png(i), "image/png")),
    "form": lambda s, i: predicted(form(s, i)),
    "v1 rows": lambda s, i: as_json(s, {"instances": [i.tolist()]}, V1).json()["predictions"][0],
    "v1 columns": lambda s, i: as_json(s, {"inputs": {"image": [i.tolist()]}}, V1).json()[
        "outputs"
    ][0],
    "v1 b64": lambda s, i: as_json(s, {"instances": [{"b64": b64(i.tobytes())}]}, V1).json()[
        "predictions"
    ][0],
    "v1 classify": lambda s, i: [
        score
        for _, score in as_json(
            s, {"examples": [{"image": i.tolist()}]}, "/v1/models/mnist:classify"
        ).json()["results"][0]
    ],
    "v2 flat": lambda s, i: v2_json(s, i.ravel().tolist()),
    "v2 nested": lambda s, i: v2_json(s, [i.tolist()]),
    "v2 binary": v2_binary,
    "v2 raw": lambda s, i: binary(s.post(INFER, i.tobytes(), OCTETS, {LENGTH: "0"})),
    "v2 classes": v2_classes,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root: Path = tiny_repository(tmp_path_factory.mktemp("one"))
    with serving(root, root / "log") as server:
        yield server


@pytest.fixture(scope="module")
def answers(server: Server) -> dict[str, Probabilities]:
    """For each way the probabilities (n, 10) of real digits and of an empty image, one by one."""
    images = [*digits()[:SAMPLE], np.zeros((28, 28), np.uint8)]
    return {
        name: np.array([way(server, image) for image in images], np.float32)
        for name, way in WAYS.items()
    }


@pytest.mark.parametrize(("one", "other"), list(combinations(WAYS, 2)))
def test_two_ways_give_the_same_bits(
    answers: dict[str, Probabilities], one: str, other: str
) -> None:
    assert answers[one].shape == (SAMPLE + 1, 10)
    assert answers[one].tobytes() == answers[other].tobytes()


def test_the_images_do_differ(answers: dict[str, Probabilities]) -> None:
    assert len({row.tobytes() for row in answers["raw"]}) == SAMPLE + 1
