"""Reads IDX, the format of the MNIST files: a magic number, sizes, bytes.

Source: Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist/, "File formats".
"""

import math

import numpy as np
from numpy.typing import NDArray

from service.decode.content import gunzip
from service.errors import Malformed

MOST_DIMENSIONS = 4
DEFAULT_LIMIT_BYTES = 256 << 20
_UNSIGNED_BYTE = 8


def read_idx(data: bytes, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> NDArray[np.uint8]:
    """Reads the array in IDX bytes, plain or gzip, of unsigned bytes, in its declared shape.

    Raises :class:`Malformed`, and :class:`TooLarge` for more than ``limit_bytes`` decompressed.
    """
    data = gunzip(data, limit_bytes)
    start, shape = idx_header(data)
    expected = math.prod(shape)
    if len(data) - start != expected:
        problem = "is cut short" if len(data) - start < expected else "has data after its end"
        raise Malformed(
            f"the IDX file {problem}: its sizes {list(shape)} declare {expected:,} bytes, "
            f"it has {len(data) - start:,}"
        )
    return np.frombuffer(data, np.uint8, expected, start).reshape(shape)


def idx_header(data: bytes) -> tuple[int, tuple[int, ...]]:
    """Returns where the data of an IDX file begin, and their shape. Raises :class:`Malformed`."""
    if len(data) < 4:
        raise Malformed("the IDX file is cut short: it ends in its magic number")
    if data[:2] != b"\0\0" or not 1 <= data[3] <= MOST_DIMENSIONS:
        raise Malformed(f"not an IDX file: its magic number is 0x{data[:4].hex()}")
    if data[2] != _UNSIGNED_BYTE:
        raise Malformed(f"the IDX file's element type is 0x{data[2]:02x}; 0x08, bytes, is expected")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise Malformed("the IDX file is cut short: it ends in its sizes")
    return start, tuple(int(size) for size in np.frombuffer(data, ">u4", data[3], 4))
