"""Finds the images that ``score`` is to classify, and cuts them into parts of bounded size.

The same inputs give the same parts, so that a run which goes on knows what is left. A file's first
bytes decide what it is; one that cannot be read as what it is becomes a part with an error.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from math import prod
from pathlib import Path
from threading import get_ident
from typing import IO, Any, NamedTuple, cast

from service.decode import arrays
from service.errors import Fault, Malformed
from service.imaging.load import FORMATS, is_picture
from service.types import PICTURES, PIXELS

ROWS, FILES = 16_384, 512
"""Images in a part of an array or a table, and pictures in another: some seconds of work."""
DAMAGE = (Fault, EOFError, ValueError, OSError, zlib.error, zipfile.BadZipFile, tarfile.TarError)
"""What damaged bytes raise, in NumPy, gzip, zip, tar and Parquet."""


class ScoreError(Exception):
    """The run cannot go on; one line says why."""


class File(NamedTuple):
    """A picture: a file, or some bytes of an archive."""

    name: str
    number: int
    path: str
    offset: int = 0
    size: int = -1


class Part(NamedTuple):
    """Rows ``start`` to ``stop`` of ``source``. ``kind`` names the reader.

    ``member`` is an array in an archive, whose data begin at ``offset``. A table's part lies in one
    of its row groups, ``group``, which begins with row ``offset``.
    """

    kind: str
    source: str
    start: int = 0
    stop: int = 1
    offset: int = 0
    group: int = 0
    member: str = ""
    dtype: str = "|u1"
    files: tuple[File, ...] = ()
    error: str = ""


def plan(inputs: Iterable[str]) -> tuple[list[Part], str]:
    """Returns the parts, and a text that changes with the inputs' names, sizes and times.

    Raises OSError for an input that cannot be read, and :class:`ScoreError`.
    """
    parts, digest = list[Part](), hashlib.sha256(f"{ROWS} {FILES}".encode())

    def looked_at() -> Iterator[Part | File]:
        for path in _walk(inputs):
            status = Path(path).stat()
            if not stat.S_ISREG(status.st_mode):
                raise ScoreError(f"{path}: a file or a folder is expected")
            known = f"{path}\0{status.st_size} {status.st_mtime_ns}\n"
            digest.update(known.encode(errors="surrogateescape"))
            yield from _look_at(path)

    files = list[File]()
    for each in looked_at():
        if isinstance(each, File):
            files.append(each)
        if files and (len(files) == FILES or isinstance(each, Part)):
            parts.append(_pictures(files))
            files = []
        if isinstance(each, Part):
            parts.append(each)
    return parts + [_pictures(files)] * bool(files), digest.hexdigest()


def _pictures(files: list[File]) -> Part:
    return Part("pictures", "", stop=len(files), files=tuple(files))


def _walk(inputs: Iterable[str]) -> Iterator[str]:
    for name in inputs:
        if name == "-":
            yield from _walk(line.rstrip("\n") for line in sys.stdin if line.strip())
        elif not Path(name).is_dir():
            yield name
        else:
            first = None
            for folder, folders, names in os.walk(name):
                folders.sort()
                for first in (each for each in sorted(names) if _is_picture(each)):
                    yield str(Path(folder, first))
            if first is None:
                raise ScoreError(f"{name}: the folder holds no picture")


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in PICTURES


def _look_at(path: str) -> Iterator[Part | File]:
    """Yields the parts of a file, or the pictures in it."""
    if _is_picture(path):
        yield File(path, 0, path)
        return
    try:
        head = opened(path).read(512)
        looks = (look for begins, look in _KINDS if begins(head))
        yield from next(looks, lambda path, _: [File(path, 0, path)])(path, head)
    except DAMAGE as error:
        yield Part("damaged", path, error=why(error))


def _npy(path: str, _: bytes, member: str = "") -> Iterator[Part]:
    file = opened(path, member)
    offset, shape, order, dtype = arrays.npy_header(file.read(arrays.LARGEST_HEADER))
    if order == "F" and len(shape) > 1:
        raise Malformed("it is in Fortran's order; numpy.ascontiguousarray changes that")
    return _array(Part("array", path, 0, file.seek(0, 2), offset, 0, member, dtype.str), shape)


def _idx(path: str, head: bytes) -> Iterator[Part]:
    offset, shape = arrays.idx_header(head)
    return _array(Part("array", path, 0, opened(path).seek(0, 2), offset), shape)


def _array(whole: Part, shape: tuple[int, ...]) -> Iterator[Part]:
    """Cuts an array; ``whole.stop`` is the size of its file."""
    if shape in {(28, 28), (PIXELS,)}:
        shape = (1, *shape)
    if shape[1:] not in {(28, 28), (PIXELS,), (28, 28, 1)}:
        raise Malformed(f"it has the shape {list(shape)}; [n,28,28] or [n,784] is expected")
    declared, there = prod(shape) * int(whole.dtype[2:]), whole.stop - whole.offset
    if declared != there:
        raise Malformed(f"it declares {declared:,} bytes of images and has {there:,}")
    for start in range(0, shape[0], ROWS):
        yield whole._replace(start=start, stop=min(start + ROWS, shape[0]))


def _npz(path: str, head: bytes) -> Iterator[Part]:
    found = False
    for name in zipfile.ZipFile(path).namelist():
        head = opened(path, name).read(arrays.LARGEST_HEADER)
        if name.endswith(".npy") and len(arrays.npy_header(head)[1]) > 1:  # the others are labels
            found = True
            yield from _npy(path, head, name)
    if not found:
        raise Malformed("the archive holds no array of images")


def _parquet(path: str, _: bytes) -> Iterator[Part]:
    metadata, first = opened_table(path).metadata, 0
    for group in range(metadata.num_row_groups):
        after = first + metadata.row_group(group).num_rows
        for start in range(first, after, ROWS):
            yield Part("table", path, start, min(start + ROWS, after), first, group)
        first = after


def _unknown(_: str, __: bytes) -> Iterable[Part]:
    raise Malformed(f"neither IDX, .npy, .npz, Parquet, tar nor a picture in {FORMATS}")


def _tar(path: str, _: bytes) -> Iterator[File]:
    with tarfile.open(fileobj=opened(path), mode="r:") as archive:
        index = 0
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined] # it would keep all
            if member.isfile() and _is_picture(member.name):
                yield File(f"{path}:{member.name}", index, path, member.offset_data, member.size)
                index += 1


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[str, bytes], Iterable[Part | File]]], ...]
_KINDS = (
    (lambda head: head.startswith(arrays.MAGIC), _npy),
    (lambda head: head[:2] == b"\0\0" and head[2:3] in b"\x08\x09\x0b\x0c\x0d\x0e", _idx),
    (lambda head: head.startswith(b"PK\3\4"), _npz),
    (lambda head: head.startswith(b"PAR1"), _parquet),
    (lambda head: head[257:262] == b"ustar", _tar),
    (lambda head: head != b"" and not is_picture(head), _unknown),
)


@lru_cache(maxsize=64)  # so that the next part of a compressed file goes on where the last ended
def _open(path: str, member: str, _thread: int) -> IO[bytes]:
    if member:
        return zipfile.ZipFile(path).open(member)
    file = Path(path).open("rb")  # noqa: SIM115 - closed when the cache drops it
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return cast("IO[bytes]", gzip.open(file)) if is_gzip else file


def opened(path: str, member: str = "", offset: int = 0) -> IO[bytes]:
    """Opens a file, plain or gzip, or an array of an archive, at ``offset``, for this thread."""
    file = _open(path, member, get_ident())
    file.seek(offset)
    return file


def arrow() -> tuple[Any, Any]:
    """Returns pyarrow and its Parquet, or raises :class:`ScoreError`."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise ScoreError("Parquet needs pyarrow; run: pip install 'mnist-serve[parquet]'") from None
    return pa, parquet


def opened_table(path: str) -> Any:
    """Opens a Parquet file. Raises :class:`Malformed` if it has no column ``image``."""
    file = arrow()[1].ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
    if "image" not in file.schema_arrow.names:
        raise Malformed("the table has no column image")
    return file


def why(error: Exception) -> str:
    """Returns what is wrong with damaged bytes, in one line. Raises what the system refused."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    text = error.detail if isinstance(error, Fault) else f"damaged: {error}"
    return " ".join(text.split())[:300]
