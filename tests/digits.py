"""Images, and the bodies in which they may be sent."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]


def images(count: int, seed: int = 0) -> Images:
    """Random images (count, 28, 28) with a dark border, as MNIST's have."""
    inner = np.random.default_rng(seed).integers(0, 256, (count, 20, 20), np.uint8)
    return np.pad(inner, ((0, 0), (4, 4), (4, 4)))


def as_json(array: Images, flat: bool = False) -> bytes:
    """``{"images": ...}`` with rows of rows, or flat."""
    content: Any = array.reshape(len(array), 784) if flat else array
    return json.dumps({"images": content.tolist()}).encode()


def as_npy(array: NDArray[Any]) -> bytes:
    """A ``.npy`` file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_npz(**arrays: NDArray[Any]) -> bytes:
    """An ``.npz`` file."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def as_idx(array: NDArray[np.uint8]) -> bytes:
    """An IDX file of unsigned bytes."""
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def as_picture(image: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    """A picture file of one image."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def as_form(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, str]:
    """A multipart body of (field, file name, content), and its Content-Type."""
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
