"""Reads arrays: raw bytes, ``.npy``, ``.npz`` and IDX, without pickle or trust in their headers.

NumPy's formats: numpy.org/neps/nep-0001-npy-format.html, versions 1, 2 and 3. IDX:
http://yann.lecun.com/exdb/mnist/, "File formats".
"""

import io
import math
import zipfile
from collections.abc import Callable, Collection
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from service.decode.content import gunzip
from service.decode.validation import Flaws, check_count, check_pixels, refuse
from service.errors import Fault, Malformed, TooLarge
from service.imaging.load import is_picture
from service.types import PIXELS, SIDE, Images, Labels, Limits, free

MAGIC = b"\x93NUMPY"
LARGEST_HEADER = 1024  # bytes; a header of five dimensions has 128
LARGEST_DIRECTORY = 64  # arrays in an .npz
MOST_DIMENSIONS = 4
_READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
    (3, 0): npy_format.read_array_header_2_0,  # differs only in the names of fields
}


def from_bytes(body: bytes, limits: Limits) -> Images:
    """Reads the n images (n, 28, 28) in n * 784 bytes, row by row, without a copy."""
    if not body:
        raise Malformed(f"the body is empty; n * {PIXELS} bytes are expected")
    count, rest = divmod(len(body), PIXELS)
    if rest:
        if is_picture(body):
            raise refuse("body", "a picture file; send it with Content-Type image/*")
        message = f"{len(body):,} bytes; n * {PIXELS} are expected, {rest} are over {count} images"
        raise refuse("body", message)
    check_count(count, limits, "body")
    images: Images = np.ndarray((count, SIDE, SIDE), np.uint8, body)
    if count == 1 and body.strip(b"\0\1"):  # a larger value shows that it was not scaled to 0..1
        return images
    return check_pixels(images, "body")


def from_npy(body: bytes, limits: Limits) -> Images:
    """Reads the images (n, 28, 28) in an ``.npy`` array."""
    return images_from_array(read_npy(body), "body", limits)


def images_from_array(array: NDArray[Any], field: str, limits: Limits) -> Images:
    """Converts [28,28], [784], [n,28,28], [n,784] or [n,28,28,1] to ``uint8`` (n, 28, 28)."""
    shape = array.shape
    if shape in {(28, 28), (784,)}:
        shape = (1, *shape)
    if shape[1:] not in {(28, 28), (784,), (28, 28, 1)}:
        expected = "[28,28], [784], [n,28,28], [n,784] or [n,28,28,1] is expected"
        raise refuse(field, f"has the shape {list(array.shape)}; {expected}")
    check_count(shape[0], limits, field)
    return check_pixels(array.reshape(-1, SIDE, SIDE), field)


def labels_from_array(array: NDArray[Any]) -> Labels:
    """Converts an integer array [n] or [n,1] of digits to ``int64`` (n,)."""
    if array.dtype.kind not in "iu":
        raise refuse("labels", f"has the type {array.dtype}; whole numbers are expected")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise refuse("labels", f"has the shape {list(array.shape)}; [n] is expected")
    flaws = Flaws("labels", "label")
    for index in np.flatnonzero((array < 0) | (array > 9)):
        flaws.add(int(index), f"is {int(array[index])}; a digit from 0 to 9 is expected")
    flaws.raise_any()
    return array.astype(np.int64)


def read_npy(data: bytes) -> NDArray[Any]:
    """Reads the array in ``.npy`` bytes, of an integer or float type, without a copy."""
    start, shape, order, dtype = npy_header(data)
    _check_size(len(data) - start, math.prod(shape) * dtype.itemsize, "the .npy array")
    return np.frombuffer(data, dtype, math.prod(shape), start).reshape(shape, order=order)


def npy_header(data: bytes) -> tuple[int, tuple[int, ...], Literal["C", "F"], np.dtype[Any]]:
    """Returns where the data of an ``.npy`` begin, the shape, the memory order and the type."""
    file = io.BytesIO(data[: LARGEST_HEADER + 12])
    try:
        shape, is_fortran, dtype = _READERS[npy_format.read_magic(file)](file, LARGEST_HEADER)
    except Exception as error:  # NumPy's parser fails in a dozen ways on hostile bytes
        raise Malformed(
            "the header of the .npy array is damaged, cut short, longer than "
            f"{LARGEST_HEADER:,} bytes or not of version 1, 2 or 3 of the format"
        ) from error
    if any(type(size) is not int or size < 0 for size in shape):
        raise Malformed("the header of the .npy array is damaged: its shape is not whole numbers")
    if dtype.hasobject:
        raise Malformed("the .npy array holds Python objects, which are never loaded")
    if dtype.kind not in "iuf":
        raise refuse("dtype", f"{str(dtype)[:40]!r} is not an integer or float type")
    return file.tell(), shape, "F" if is_fortran else "C", dtype


def _check_size(given: int, declared: int, what: str) -> None:
    if given != declared:
        problem = "is cut short" if given < declared else "has data after its end"
        raise Malformed(
            f"{what} {problem}: its header declares {declared:,} bytes of data, it has {given:,}"
        )


def read_npz(
    data: bytes,
    limit_bytes: int,
    names: Collection[str] | None = None,
    charge: Callable[[int], None] = free,
) -> dict[str, NDArray[Any]]:
    """Reads the arrays (of ``names``) of an ``.npz``; calls ``charge`` before it inflates each."""
    if data.count(b"PK\1\2") > LARGEST_DIRECTORY:
        raise TooLarge(f"the .npz holds more than {LARGEST_DIRECTORY} arrays")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read_members(archive, limit_bytes, names, charge)
    except Fault:
        raise
    except Exception as error:  # zipfile, zlib and struct fail in a dozen ways on damaged bytes
        raise Malformed("the .npz is damaged or cut short") from error


def _read_members(
    archive: zipfile.ZipFile,
    left: int,
    names: Collection[str] | None,
    charge: Callable[[int], None],
) -> dict[str, NDArray[Any]]:
    arrays, limit_bytes = {}, left
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if names is not None and name not in names:
            continue
        if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise Malformed("the .npz has a compression that NumPy does not write")
        left -= member.file_size
        if left < 0:
            raise TooLarge(f"the .npz holds more than {limit_bytes:,} bytes of arrays")
        charge(member.file_size)
        with archive.open(member) as file:
            arrays[name] = read_npy(file.read(member.file_size))
    return arrays


def read_idx(data: bytes, limit_bytes: int = 256 << 20) -> NDArray[np.uint8]:
    """Reads the bytes in IDX data, plain or gzip, or raises; ``limit_bytes`` decompressed."""
    data = gunzip(data, limit_bytes)
    start, shape = idx_header(data)
    _check_size(len(data) - start, math.prod(shape), "the IDX file")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def idx_header(data: bytes) -> tuple[int, tuple[int, ...]]:
    """Returns where the data of an IDX file begin, and their shape. Raises :class:`Malformed`."""
    if data[:2] != b"\0\0" or len(data) < 4 or not 1 <= data[3] <= MOST_DIMENSIONS:
        raise Malformed(f"not an IDX file: its magic number is 0x{data[:4].hex()}")
    if data[2] != 0x08:
        raise Malformed(f"the IDX file's element type is 0x{data[2]:02x}; 0x08, bytes, is expected")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise Malformed("the IDX file is cut short: it ends in its sizes")
    return start, tuple(int(size) for size in np.frombuffer(data, ">u4", data[3], 4))
