"""The work that is measured, and the servers that do it."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

TEST_IMAGES = Path("training/mnist/t10k-images-idx3-ubyte.gz")
OCTETS, JSON, PNG = "application/octet-stream", "application/json", "image/png"


@dataclass(frozen=True)
class Work:
    """One kind of request to one server: where it goes, what is in it, how many ask at once."""

    server: str
    path: str
    body: bytes
    media_type: str
    connections: int
    images: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A row of the table: the service's work, the references' work, and what to compare."""

    name: str
    works: tuple[Work, ...]
    figure: str
    """``cpu_us`` (server CPU a request), ``p50_us`` (latency) or ``images_s`` (throughput)."""
    target: str


def cases() -> list[Case]:
    """The rows, in the order of the table; the bodies are MNIST's first test images."""
    one, many = first_images(1), first_images(64)
    infer, v2, v2_headers = v2_request(one)
    raw = Work("serve", "/predict", one.tobytes(), OCTETS, 32, 1)
    text = replace(raw, body=_json(one), media_type=JSON)
    binary = replace(raw, path=infer, body=v2, headers=v2_headers)
    png = replace(raw, body=_png(one[0]), media_type=PNG)
    raw_many = Work("serve", "/predict", many.tobytes(), OCTETS, 8, 64)
    text_many = replace(raw_many, body=_json(many), media_type=JSON)
    return [
        _case("raw, 1 image", raw, "cpu_us", "<= 0.70 x"),
        _case("JSON, 1 image", text, "cpu_us", "<= 1.00 x"),
        _case("v2 binary, 1 image", binary, "cpu_us", "<= 0.75 x"),
        _case("PNG, 1 image", png, "cpu_us", "<= 1.40 x"),
        _case("raw, 64 images", raw_many, "images_s", ">= 1.80 x"),
        _case("JSON, 64 images", text_many, "images_s", ">= 0.65 x"),
        _case("raw, one connection", replace(raw, connections=1), "p50_us", "<= 1.40 x"),
        _case("JSON, one connection", replace(text, connections=1), "p50_us", "<= 1.60 x"),
    ]


def _case(name: str, work: Work, figure: str, target: str) -> Case:
    """Returns the service's work with that of the references."""
    bare = replace(work, headers={})
    raw = first_images(work.images).tobytes()
    works = [
        work,
        replace(work, server="asgi"),
        replace(bare, server="limit-ort", path="/ort", body=raw, media_type=OCTETS),
        replace(bare, server="limit", path="/echo"),
    ]
    if work.media_type == JSON:
        works.append(replace(bare, server="tutorial"))
    return Case(name, tuple(works), figure, target)


def first_images(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    content = gzip.decompress(TEST_IMAGES.read_bytes())
    return np.frombuffer(content, np.uint8, count * 784, 16).reshape(count, 28, 28)


def _json(images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    return json.dumps({"images": images.tolist()}, separators=(",", ":")).encode()


def _png(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def v2_request(
    images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> tuple[str, bytes, dict[str, str]]:
    """Path, body and headers of a request with the images as a binary tensor."""
    tensor = {
        "name": "image",
        "shape": list(images.shape),
        "datatype": "UINT8",
        "parameters": {"binary_data_size": images.size},
    }
    output = {"name": "probabilities", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [output]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return "/v2/models/mnist/infer", head + images.tobytes(), headers
