"""Reads the images that ``score`` is to classify, in order, and cuts them into parts.

The same inputs give the same parts, so that a run which goes on knows what is left. A file's first
bytes decide what it is; what cannot be read as what it is becomes an item with an error.
"""

import gzip
import hashlib
import os
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from service.decode import arrays
from service.errors import Explained, Fault, Malformed
from service.imaging.load import FORMATS, is_picture
from service.types import PICTURES, PIXELS, SIDE

PART = 16_384
"""The cost of a part, some seconds of work and 13 MB: an item costs one for each 784 bytes of it
that wait in memory, and a picture 32 more."""
_PICTURE, LARGEST, _CHUNK, _FEW = 32, 1 << 28, 2048, 256
DAMAGE = (Fault, EOFError, ValueError, OSError, zlib.error, zipfile.BadZipFile, tarfile.TarError)
"""What damaged bytes raise, in NumPy, gzip, zip, tar and Parquet."""

Body: TypeAlias = NDArray[Any] | bytes | Path | str
"""An image: pixels (28, 28), a picture or the path of its file, or why there is none."""
Item: TypeAlias = tuple[str, int, Body]  # an image with the source and the index of its row


class Inputs:
    """All images of the inputs, in order."""

    def __init__(self, inputs: Iterable[str]) -> None:
        """Finds the files. Raises OSError for one that is missing, and :class:`Explained`."""
        self._files, digest = list[tuple[str, int]](), hashlib.sha256(f"{PART}".encode())
        for path in _walk(inputs):
            status = Path(path).stat()
            if not stat.S_ISREG(status.st_mode):
                raise Explained(f"{path}: a file or a folder is expected")
            known = f"{path}\0{status.st_size} {status.st_mtime_ns}\n"
            digest.update(known.encode(errors="surrogateescape"))
            self._files.append((path, status.st_size))
        self.fingerprint = digest.hexdigest()
        """Changes with the names, sizes and times of the files."""
        self._all, self._read = max(1, sum(size for _, size in self._files)), 0
        self._file: IO[bytes] | None = None

    @property
    def share(self) -> float:
        """How much of all bytes has been read, 0 to 1."""
        return (self._read + (self._file.tell() if self._file else 0)) / self._all

    def parts(self) -> Iterator[list[Item]]:
        """Yields the items in parts of bounded cost. Raises OSError if a file cannot be read."""
        part, cost = list[Item](), 0
        for item in self._items():
            part.append(item)
            cost += _cost(item[2])
            if cost >= PART:
                yield part
                part, cost = [], 0
        if part:
            yield part

    def _items(self) -> Iterator[Item]:
        for path, size in self._files:
            if _is_picture(path):
                yield path, 0, Path(path)
            else:
                with Path(path).open("rb") as self._file:
                    yield from _look_at(path, self._file)
                self._file = None
            self._read += size


def _cost(body: Body) -> int:
    if isinstance(body, np.ndarray):
        return body.nbytes // PIXELS
    return _PICTURE + (len(body) // PIXELS if isinstance(body, bytes) else 0)


def _walk(inputs: Iterable[str]) -> Iterator[str]:
    for name in inputs:
        if name == "-":
            yield from _walk(line.rstrip("\n") for line in sys.stdin if line.strip())
        elif Path(name).is_dir():
            if not (pictures := pictures_in(name)):
                raise Explained(f"{name}: the folder holds no picture")
            yield from pictures
        else:
            yield name


def pictures_in(folder: str) -> list[str]:
    """Returns the pictures in a folder, at any depth, sorted."""
    files = (Path(place, file) for place, _, names in os.walk(folder) for file in names)
    return sorted(str(file) for file in files if _is_picture(file.name) and file.is_file())


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in PICTURES


def _look_at(path: str, raw: IO[bytes]) -> Iterator[Item]:
    """Yields the images in a file, and an error in the place of the first that is damaged."""
    try:
        is_gzip = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if is_gzip else raw
        head = file.read(512)
        file.seek(0)
        known = (read for begin, read in _KINDS.items() if head.startswith(begin))
        reader = _tar if head[257:262] == b"ustar" else next(known, _picture)
        yield from reader(path, file)
    except DAMAGE as error:
        yield path, 0, why(error)


def _numbered(source: str, bodies: Iterator[Body]) -> Iterator[Item]:
    index = -1
    try:
        for index, body in enumerate(bodies):
            yield source, index, body
    except DAMAGE as error:
        yield source, index + 1, why(error)


def _npy(path: str, file: IO[bytes]) -> Iterator[Item]:
    offset, shape, order, dtype = arrays.npy_header(file.read(arrays.LARGEST_HEADER))
    if order == "F" and len(shape) > 1:
        raise Malformed("it is in Fortran's order; numpy.ascontiguousarray changes that")
    yield from _numbered(path, _array(file, offset, shape, dtype))


def _idx(path: str, file: IO[bytes]) -> Iterator[Item]:
    offset, shape = arrays.idx_header(file.read(arrays.LARGEST_HEADER))
    yield from _numbered(path, _array(file, offset, shape, np.dtype(np.uint8)))


def _array(
    file: IO[bytes], offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[Body]:
    if shape in {(28, 28), (PIXELS,)}:
        shape = (1, *shape)
    if shape[1:] not in {(28, 28), (PIXELS,), (28, 28, 1)}:
        raise Malformed(f"it has the shape {list(shape)}; [n,28,28] or [n,784] is expected")
    file.seek(offset)
    size = PIXELS * dtype.itemsize
    for start in range(0, shape[0], _CHUNK):
        count = min(_CHUNK, shape[0] - start)
        content = file.read(count * size)
        whole = content[: len(content) // size * size]
        yield from np.frombuffer(whole, dtype).reshape(-1, SIDE, SIDE)
        if len(content) < count * size:
            raise Malformed("the data end before the last image")
    if file.read(1):
        raise Malformed("the data go on after the last image")


def _npz(path: str, file: IO[bytes]) -> Iterator[Item]:
    found, archive = False, zipfile.ZipFile(file)
    for name in (name for name in archive.namelist() if name.endswith(".npy")):
        with archive.open(name) as member:
            _, shape, *_ = arrays.npy_header(member.read(arrays.LARGEST_HEADER))
            if len(shape) > 1:  # the others are labels
                found = True
                member.seek(0)
                yield from _npy(f"{path}:{name}", member)
    if not found:
        raise Malformed("the archive holds no array of images")


def _parquet(path: str, file: IO[bytes]) -> Iterator[Item]:
    table = arrow()[1].ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
    if "image" not in table.schema_arrow.names:
        raise Malformed("the table has no column image")
    batches = table.iter_batches(_FEW, columns=["image"])
    yield from _numbered(path, chain.from_iterable(_column(each.column(0)) for each in batches))


def _column(column: Any) -> Iterator[Body]:
    """Yields the images in a column of bytes, of structs with bytes, or of lists of numbers."""
    from pyarrow import types

    if types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = column.field("bytes")
    if types.is_binary(column.type) or types.is_large_binary(column.type):
        for body in column.to_pylist():
            is_pixels = body and len(body) == PIXELS and not is_picture(body)
            pixels = np.frombuffer(body, np.uint8).reshape(SIDE, SIDE) if is_pixels else body
            yield "the image is null" if pixels is None else pixels
        return
    for row in column.to_numpy(zero_copy_only=False):
        try:
            flat = np.concatenate(row) if row.dtype == object else row
            yield np.asarray(flat, np.float64).reshape(SIDE, SIDE)
        except (AttributeError, TypeError, ValueError):
            yield "784 numbers, 28 rows of 28, or the bytes of a picture are expected"


def _tar(path: str, file: IO[bytes]) -> Iterator[Item]:
    with tarfile.open(fileobj=file, mode="r|") as archive:
        index = 0
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined] # it would keep all
            if _is_picture(member.name) and (picture := archive.extractfile(member)):
                yield f"{path}:{member.name}", index, picture.read(LARGEST)
                index += 1


def _picture(path: str, file: IO[bytes]) -> Iterator[Item]:
    content = file.read(LARGEST)
    if content and not is_picture(content):
        raise Malformed(f"neither IDX, .npy, .npz, Parquet, tar nor a picture in {FORMATS}")
    yield path, 0, content


_KINDS: dict[bytes, Callable[[str, IO[bytes]], Iterator[Item]]]
_KINDS = {arrays.MAGIC: _npy, b"\0\0": _idx, b"PK\3\4": _npz, b"PAR1": _parquet}


def arrow() -> tuple[Any, Any]:
    """Returns pyarrow and its Parquet, or raises :class:`Explained`."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise Explained("Parquet needs pyarrow; run: pip install 'mnist-serve[parquet]'") from None
    return pa, parquet


def why(error: Exception) -> str:
    """Returns what is wrong with damaged bytes, in one line. Raises what the system refused."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    text = error.detail if isinstance(error, Fault) else f"damaged: {error}"
    return " ".join(text.split())[:300]
