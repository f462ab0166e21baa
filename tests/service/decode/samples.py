"""Real digits in every format that the service reads, and damage to them."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from service.decode.arrays import read_idx
from service.errors import Fault
from service.types import Images, Limits

MNIST = Path(__file__).parents[3] / "training" / "mnist"
LIMITS = Limits()
BOUNDARY = "boundary-of-the-tests"


@cache
def digits() -> Images:
    """Returns the 10,000 test images of MNIST."""
    return read_idx((MNIST / "t10k-images-idx3-ubyte.gz").read_bytes())


@cache
def labels() -> NDArray[np.uint8]:
    """Returns the digits of the test images."""
    return read_idx((MNIST / "t10k-labels-idx1-ubyte.gz").read_bytes())


def npy(array: NDArray[Any]) -> bytes:
    """Returns the array as NumPy itself writes it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(*, compressed: bool = True, **arrays: Any) -> bytes:
    """Returns the arrays as NumPy itself writes them."""
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def idx(array: NDArray[np.uint8]) -> bytes:
    """Returns the array as an IDX file of unsigned bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Returns the picture as a file of the given kind."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def picture(kind: str = "PNG", mode: str = "L", index: int = 0, **options: Any) -> bytes:
    """Returns a test digit as a 28x28 picture file of the given kind and Pillow mode."""
    return encode(Image.fromarray(digits()[index]).convert(mode), kind, **options)


def form(*parts: tuple[str, bytes], boundary: str = BOUNDARY) -> bytes:
    """Returns a multipart/form-data body as curl and browsers write it."""
    head = (
        b"--%b\r\n"
        b'Content-Disposition: form-data; name="%b"; filename="a file.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n%b\r\n"
    )
    lines = [head % (boundary.encode(), name.encode(), data) for name, data in parts]
    return b"".join([*lines, f"--{boundary}--\r\n".encode()])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["image", "b64", "x"]) | st.text(max_size=5), inner)
    ),
    max_leaves=8,
)
Edits = list[tuple[int, int, bytes]]
JSON_EDITS: st.SearchStrategy[Edits] = st.lists(
    st.tuples(
        st.integers(0, 1 << 20),
        st.integers(0, 3) | st.integers(0, 40),
        st.sampled_from(b' | |0|7|25|-|.|.5|256|,|[|]|],[|]],[[|"|true|\\|}|:|{|\n'.split(b"|")),
    ),
    max_size=4,
)
"""Replacements in a JSON text: the place, how many bytes, and by what."""


def edited(text: bytes, edits: Edits) -> bytes:
    """Returns the text with the replacements made, one after the other."""
    for anywhere, length, replacement in edits:
        place = anywhere % (len(text) + 1)
        text = text[:place] + replacement + text[place + length :]
    return text


@contextmanager
def memory_below(limit_bytes: int) -> Iterator[None]:
    """Checks that Python allocates less than this at any one time."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < limit_bytes


Decoder = Callable[[bytes], object]


def check(decode: Decoder, body: bytes) -> None:
    """Checks that a decoder returns, or raises a fault of one short line."""
    try:
        decode(body)
    except Fault as fault:
        message = (fault.detail, *(flaw.message for flaw in fault.flaws))
        if not all("\n" not in text and len(text) < 500 for text in message) or len(message) > 21:
            raise AssertionError(message) from fault
