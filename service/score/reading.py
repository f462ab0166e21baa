"""Reads the images of one part of the inputs, a few at a time."""

from collections.abc import Iterable, Iterator, Sequence
from errno import EIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.decode.pictures import picture_doubts
from service.decode.validation import Flaws, round_pixels
from service.errors import Fault, Malformed
from service.imaging.load import open_picture
from service.imaging.pipeline import Seen, preprocess
from service.score.inputs import DAMAGE, File, Part, opened, opened_table, why
from service.types import PIXELS, SIDE, Images, Limits

CHUNK, FEW = 2048, 64
"""Rows of an array, and pictures, that are read and classified at once."""
_LARGEST = 1 << 28
_LIMITS = Limits()
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
_NONE = np.empty((0, SIDE, SIDE), np.uint8)

Names = Sequence[tuple[str, int]]
"""The source and the index of each row."""


class Chunk(NamedTuple):
    """Rows of the result: the images (n, 28, 28) of those without an error, and the errors."""

    names: Names
    images: Images
    errors: dict[int, str]
    """By the position among ``names``."""
    doubts: Sequence[tuple[str, ...] | None] | None = None
    """What the pictures of the images gave, None for an array's."""


def read(part: Part) -> Iterator[Chunk]:
    """Yields every row of a part exactly once. Raises OSError if its file cannot be read."""
    done = part.start
    try:
        for chunk in _READERS[part.kind](part):
            done += len(chunk.names)
            yield chunk
        if done < part.stop:
            raise Malformed("the data end before the last image")
    except DAMAGE as error:
        names = [(part.source, index) for index in range(done, part.stop)]
        yield Chunk(names, _NONE, dict.fromkeys(range(len(names)), why(error)))


def _damaged(part: Part) -> Iterator[Chunk]:
    yield Chunk([(part.source, part.start)], _NONE, {0: part.error})


def _array(part: Part) -> Iterator[Chunk]:
    dtype = np.dtype(part.dtype)
    source = f"{part.source}:{part.member}" if part.member else part.source
    image_bytes = PIXELS * dtype.itemsize
    for start in range(part.start, part.stop, CHUNK):
        stop = min(start + CHUNK, part.stop)
        file = opened(part.source, part.member, part.offset + start * image_bytes)
        content = file.read((stop - start) * image_bytes)
        if len(content) < (stop - start) * image_bytes:
            raise OSError(EIO, "it became shorter while it was read", part.source)
        array = np.frombuffer(content, dtype).reshape(-1, SIDE, SIDE)
        yield _checked([(source, index) for index in range(start, stop)], array)


def _checked(names: Names, array: NDArray[Any]) -> Chunk:
    flaws = Flaws("image")
    images = round_pixels(array, range(len(array)), flaws)
    errors = dict(flaws.found)
    good = [index for index in range(len(array)) if index not in errors] if errors else []
    return Chunk(names, round_pixels(array[good], good, Flaws("")) if good else images, errors)


def _files(part: Part) -> Iterator[Chunk]:
    for start in range(0, len(part.files), FEW):
        files = part.files[start : start + FEW]
        yield _pictures([(file.name, file.number) for file in files], map(_content, files))


def _content(file: File) -> bytes | str:
    try:
        if file.size >= 0:
            return opened(file.path, "", file.offset).read(min(file.size, _LARGEST))
        with Path(file.path).open("rb") as read:
            return read.read(_LARGEST)
    except PermissionError as error:
        return str(error.strerror)
    except DAMAGE as error:
        return why(error)


def _pictures(
    names: Names, bodies: Iterable[bytes | str | None], *, or_pixels: bool = False
) -> Chunk:
    """Preprocesses pictures, or 784 bytes of pixels without a signature; a text is an error."""
    seen, errors = list[Seen](), dict[int, str]()
    for position, body in enumerate(bodies):
        if body is None or isinstance(body, str):
            errors[position] = body or "the image is null"
        elif or_pixels and len(body) == PIXELS and not body.startswith(_SIGNATURES):
            seen.append(Seen(np.frombuffer(body, np.uint8).reshape(SIDE, SIDE), "as given"))
        else:
            try:
                seen.append(preprocess(open_picture(body, _LIMITS)))
            except Fault as fault:
                errors[position] = fault.detail
    images = np.array([one.image for one in seen]) if seen else _NONE
    return Chunk(names, images, errors, picture_doubts(seen))


def _table(part: Part) -> Iterator[Chunk]:
    first, file = part.offset, opened_table(part.source)
    for batch in file.iter_batches(CHUNK, row_groups=[part.group], columns=["image"]):
        start, stop = max(first, part.start), min(first + len(batch), part.stop)
        if start < stop:
            names = [(part.source, index) for index in range(start, stop)]
            yield _column(names, batch.column(0).slice(start - first, stop - start))
        first += len(batch)
        if first >= part.stop:
            return


def _column(names: Names, column: Any) -> Chunk:
    """Reads a column of bytes, of structs with bytes, or of lists of numbers."""
    from pyarrow import types

    if types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = column.field("bytes")
    if types.is_binary(column.type) or types.is_large_binary(column.type):
        bodies = column.to_pylist()
        if all(body is not None and len(body) == PIXELS for body in bodies):
            pixels = np.frombuffer(b"".join(bodies), np.uint8)
            return _checked(names, pixels.reshape(-1, SIDE, SIDE))
        return _pictures(names, bodies, or_pixels=True)
    rows, errors = list[NDArray[Any]](), dict[int, str]()
    for position, row in enumerate(column.to_numpy(zero_copy_only=False)):
        try:
            flat = np.concatenate(row) if row.dtype == object else row
            rows.append(np.asarray(flat, np.float64).reshape(SIDE, SIDE))
        except (AttributeError, TypeError, ValueError):
            errors[position] = "784 numbers, 28 rows of 28, or the bytes of a picture are expected"
    good = [position for position in range(len(names)) if position not in errors]
    chunk = _checked(names, np.stack(rows)) if rows else Chunk(names, _NONE, {})
    return chunk._replace(errors=errors | {good[at]: text for at, text in chunk.errors.items()})


_READERS = {"array": _array, "damaged": _damaged, "pictures": _files, "table": _table}
