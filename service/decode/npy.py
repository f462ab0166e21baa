"""``application/x-npy`` and ``.npz``: NumPy's own files, read without pickle and without trust.

The format is NEP 1 (numpy.org/neps/nep-0001-npy-format.html), versions 1, 2 and 3. The header is
matched, not evaluated, and believed only where the bytes that follow bear it out.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
from collections.abc import Collection
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.decode.json_images import check_pixels
from service.decode.validation import check_count, refuse
from service.errors import Fault, Malformed, TooLarge
from service.types import SIDE, Images, Limits

MAGIC = b"\x93NUMPY"
LARGEST_HEADER = 1024  # five dimensions take 128
LARGEST_DIRECTORY = 64  # arrays in an .npz
DEFAULT_LIMIT_BYTES = 256 << 20

_LENGTHS = {b"\1\0": "<H", b"\2\0": "<I", b"\3\0": "<I"}
_ENTRY = re.compile(
    r"""\s*(?P<quote>['"])(?P<key>descr|fortran_order|shape)(?P=quote)\s*:\s*
    (?P<value>'[^']*'|"[^"]*"|True|False|\([\d,\s]*\)|\[.*\])\s*,?""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"[<>|=]?[iuf]\d{1,2}")


class Header(NamedTuple):
    """What an ``.npy`` says about its data."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    size: int


def from_npy(body: bytes, limits: Limits) -> Images:
    """The images (n, 28, 28) of an ``.npy`` array of one of the shapes read here.

    Raises :class:`Malformed`, :class:`Invalid` or :class:`TooLarge`.
    """
    if not body:
        raise Malformed("the body is empty; an .npy array is expected")
    return images_from_array(read_npy(body), "body", limits)


def images_from_array(array: NDArray[Any], field: str, limits: Limits) -> Images:
    """An array [28,28], [784], [n,28,28], [n,784] or [n,28,28,1] to ``uint8`` (n, 28, 28).

    Raises :class:`Invalid` for another shape or for a fault in the pixels, and :class:`TooLarge`.
    """
    shape = array.shape
    if shape in {(28, 28), (784,)}:
        shape = (1, *shape)
    if shape[1:] not in {(28, 28), (784,), (28, 28, 1)}:
        expected = "[28,28], [784], [n,28,28], [n,784] or [n,28,28,1] is expected"
        raise refuse(None, field, f"has the shape {list(array.shape)}; {expected}")
    check_count(shape[0], limits, field)
    return check_pixels(array.reshape(-1, SIDE, SIDE), field)


def read_npy(data: bytes) -> NDArray[Any]:
    """The array in ``.npy`` bytes, of an integer or float type, without a copy.

    Raises :class:`Malformed` for damage, for an array of objects, and for data that are fewer or
    more than the header says; :class:`Invalid` for another type of element.
    """
    length_format = _LENGTHS.get(data[6:8]) if data.startswith(MAGIC) else None
    if length_format is None:
        raise Malformed("not an .npy array: it does not begin as version 1, 2 or 3 of the format")
    start = 8 + struct.calcsize(length_format)
    if len(data) < start:
        raise Malformed("the .npy array ends in its header")
    start += struct.unpack_from(length_format, data, 8)[0]
    if start > LARGEST_HEADER:
        raise Malformed(f"the .npy header is longer than {LARGEST_HEADER:,} bytes")
    if len(data) < start:
        raise Malformed("the .npy array ends in its header")
    header = _parse_header(data[8 + struct.calcsize(length_format) : start])
    expected = header.size * header.dtype.itemsize
    if len(data) - start != expected:
        problem = "is cut short" if len(data) - start < expected else "has data after its end"
        raise Malformed(
            f"the .npy array {problem}: its header says {expected:,} bytes of data, "
            f"{len(data) - start:,} are there"
        )
    flat = np.frombuffer(data, header.dtype, header.size, start)
    return flat.reshape(header.shape, order=header.order)


@lru_cache(maxsize=64)  # a client sends the same header again and again
def _parse_header(text: bytes) -> Header:
    fields: dict[str, str] = {}
    inner = text.decode("latin-1").strip()
    position, end = 1, len(inner) - 1
    while inner[:1] == "{" and inner[-1:] == "}" and (match := _ENTRY.match(inner, position, end)):
        if match["key"] in fields:
            break
        fields[match["key"]] = match["value"]
        position = match.end()
    if len(fields) != 3 or inner[position:end].strip():
        raise Malformed("the .npy header cannot be read")
    return _header(fields["descr"], fields["fortran_order"], fields["shape"])


def _header(descr: str, fortran_order: str, shape: str) -> Header:
    kind = descr[1:-1]
    if "O" in kind:
        raise Malformed("the .npy array holds Python objects, which are never read")
    if not _NUMBER.fullmatch(kind):
        raise refuse(None, "dtype", f"{kind[:40]!r} is no integer or float type")
    try:
        dtype = np.dtype(kind)
        dimensions = tuple(int(size) for size in shape[1:-1].split(",") if size.strip())
    except (TypeError, ValueError):
        raise Malformed("the .npy header cannot be read") from None
    if fortran_order not in {"True", "False"}:
        raise Malformed("the .npy header cannot be read")
    order: Literal["C", "F"] = "F" if fortran_order == "True" else "C"
    return Header(dtype, dimensions, order, math.prod(dimensions))


def read_npz(
    data: bytes,
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
    names: Collection[str] | None = None,
) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` by name, or those of ``names`` that it has.

    Raises :class:`Malformed` for damage and for objects, :class:`TooLarge` when the arrays are
    more than ``limit_bytes`` together, :class:`Invalid` for a type that is no number.
    """
    if data.count(b"PK\1\2") > LARGEST_DIRECTORY:
        raise TooLarge(f"the .npz holds more than {LARGEST_DIRECTORY} arrays")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read_members(archive, limit_bytes, names)
    except Fault:
        raise
    except Exception as error:  # zipfile, zlib and struct fail in a dozen ways on damaged bytes
        raise Malformed("the .npz is damaged or cut short") from error


def _read_members(
    archive: zipfile.ZipFile, limit_bytes: int, names: Collection[str] | None
) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    left = limit_bytes
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if names is not None and name not in names:
            continue
        if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise Malformed("the .npz is compressed in a way that NumPy does not write")
        left -= member.file_size
        if left < 0:
            raise TooLarge(f"the .npz holds more than {limit_bytes:,} bytes of arrays")
        with archive.open(member) as file:
            arrays[name] = read_npy(file.read(member.file_size))
    return arrays
