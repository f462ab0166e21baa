"""Real digits in every form that the service reads."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.decode.idx import read_idx
from service.types import Images, Limits

MNIST = Path(__file__).parents[3] / "training" / "mnist"
LIMITS = Limits()
BOUNDARY = "boundary-of-the-tests"


@cache
def digits() -> Images:
    """The 10,000 test images of MNIST."""
    return read_idx((MNIST / "t10k-images-idx3-ubyte.gz").read_bytes())


@cache
def labels() -> NDArray[np.uint8]:
    """Their digits."""
    return read_idx((MNIST / "t10k-labels-idx1-ubyte.gz").read_bytes())


def npy(array: NDArray[Any]) -> bytes:
    """The array as NumPy itself writes it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(*, compressed: bool = True, **arrays: Any) -> bytes:
    """The arrays as NumPy itself writes them."""
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def idx(array: NDArray[np.uint8]) -> bytes:
    """The array as an IDX file of unsigned bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as a file of the given kind."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def picture(kind: str = "PNG", mode: str = "L", index: int = 0, **options: Any) -> bytes:
    """A test digit as a 28x28 picture file of the given kind and Pillow mode."""
    return encode(Image.fromarray(digits()[index]).convert(mode), kind, **options)


def form(*parts: tuple[str, bytes], boundary: str = BOUNDARY) -> bytes:
    """A multipart/form-data body as curl and browsers write it."""
    lines = [
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{name}"; filename="a file.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in parts
    ]
    return b"".join([*lines, f"--{boundary}--\r\n".encode()])
