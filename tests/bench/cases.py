"""The work that is measured, and the servers that do it."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass, field
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
    raw, raw_many = one.tobytes(), many.tobytes()
    text, text_many = _json(one), _json(many)
    infer, v2, v2_headers = v2_request(one)

    def row(
        name: str, figure: str, target: str, connections: int, images: int, *ours: object
    ) -> Case:
        path, body, media_type, *headers = ours
        reference = raw if images == 1 else raw_many
        works = [
            Work("serve", path, body, media_type, connections, images, *headers),  # type: ignore[arg-type]
            Work("asgi", path, body, media_type, connections, images, *headers),  # type: ignore[arg-type]
            Work("limit-ort", "/ort", reference, OCTETS, connections, images),
            Work("limit", "/echo", body, media_type, connections, images),  # type: ignore[arg-type]
        ]
        if media_type == JSON:
            works.append(Work("tutorial", "/predict", body, JSON, connections, images))  # type: ignore[arg-type]
        return Case(name, tuple(works), figure, target)

    return [
        row("raw, 1 image", "cpu_us", "<= 0.70 x", 32, 1, "/predict", raw, OCTETS),
        row("JSON, 1 image", "cpu_us", "<= 1.00 x", 32, 1, "/predict", text, JSON),
        row("v2 binary, 1 image", "cpu_us", "<= 0.75 x", 32, 1, infer, v2, OCTETS, v2_headers),
        row("PNG, 1 image", "cpu_us", "<= 1.40 x", 32, 1, "/predict", _png(one[0]), PNG),
        row("raw, 64 images", "images_s", ">= 1.80 x", 8, 64, "/predict", raw_many, OCTETS),
        row("JSON, 64 images", "images_s", ">= 0.65 x", 8, 64, "/predict", text_many, JSON),
        row("raw, one connection", "p50_us", "<= 1.40 x", 1, 1, "/predict", raw, OCTETS),
        row("JSON, one connection", "p50_us", "<= 1.60 x", 1, 1, "/predict", text, JSON),
    ]


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
