"""Images, and request bodies of them in each format."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]


def images(count: int, seed: int = 0) -> Images:
    """Returns random images (count, 28, 28), uint8, with a black border of 4 pixels as in MNIST."""
    inner = np.random.default_rng(seed).integers(0, 256, (count, 20, 20), np.uint8)
    return np.pad(inner, ((0, 0), (4, 4), (4, 4)))


def as_json(array: Images, flat: bool = False) -> bytes:
    """Returns ``{"images": ...}`` with images as rows of pixels, or flat."""
    content: Any = array.reshape(len(array), 784) if flat else array
    return json.dumps({"images": content.tolist()}).encode()


def as_npy(array: NDArray[Any]) -> bytes:
    """Returns a ``.npy`` file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_npz(**arrays: NDArray[Any]) -> bytes:
    """Returns an ``.npz`` file."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def as_idx(array: NDArray[np.uint8]) -> bytes:
    """Returns an IDX file of unsigned bytes."""
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def as_picture(image: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    """Returns a picture file of one image."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def as_form(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, str]:
    """Returns a multipart body of (field, file name, content), and its Content-Type."""
    boundary = "----digits"
    body = b""
    for name, filename, content in parts:
        named = f'; filename="{filename}"' if filename is not None else ""
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        body += content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
