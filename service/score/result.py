"""Keeps the finished parts of a result in ``FILE.parts/`` and joins them into ``FILE``.

A run that ends at any moment leaves whole parts behind. One at a time holds the folder's lock::

    FILE.parts/run.json   what the parts belong to: the inputs' fingerprint, and the version
    FILE.parts/12         the rows of part 12, a list of JSON each
    FILE.parts/joined     the whole result, until it is linked to FILE
"""

import csv
import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import orjson

from service.errors import Explained
from service.score.inputs import arrow

COLUMNS = ("source", "index", "digit", "confidence", "doubts", "version", "error")
_LAST = {"run.json", "joined"}  # the marks of a finished run


class Result:
    """The result in ``out``; its ``with`` block holds the lock, and removes a folder without parts.

    Raises :class:`Explained` if ``out`` exists or another run writes it, OSError for the rest.
    """

    def __init__(self, out: Path) -> None:
        self.out, self._folder = out, Path(f"{out}.parts")
        self._joined = self._folder / "joined"

    def __enter__(self) -> Self:
        linked = self._joined.exists() and self.out.exists() and self._joined.samefile(self.out)
        if self.out.exists() and not linked:
            raise Explained(f"{self.out} exists; remove it, or name another --out")
        self._folder.mkdir(exist_ok=True)
        self._lock = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise Explained(f"another run writes {self.out}; wait for it") from None
        if linked:  # a run was killed after its last step but one
            self.out.unlink()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            error.filename = error.filename or self.out
        if self._folder.exists() and not self._done():
            shutil.rmtree(self._folder)
        os.close(self._lock)

    def _done(self) -> set[int]:
        return {int(path.name) for path in self._folder.iterdir() if path.name.isdigit()}

    def begin(self, fingerprint: str, version: int | None, champion: Callable[[], int]) -> int:
        """Returns the version: the given one, that of an earlier run, or the champion.

        ``done`` are the parts of that run. Raises :class:`Explained` if they are of another one.
        """
        path, self.done = self._folder / "run.json", self._done()
        before = orjson.loads(path.read_bytes()) if self.done else {}
        version = version or before.get("version") or champion()
        run = {"inputs": fingerprint, "version": version}
        if before not in ({}, run):
            what = "other inputs" if version == before["version"] else "another version"
            raise Explained(f"{self._folder} is of a run with {what}; remove it to start again")
        self._write("run.json", orjson.dumps(run))
        return version

    def add(self, number: int, content: bytes) -> int:
        """Stores a part and returns how many rows it has."""
        self._write(str(number), content)
        return content.count(b"\n")

    def _write(self, name: str, content: bytes) -> None:
        staged = self._folder / f"{name}.staged"
        with staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.rename(self._folder / name)

    def finish(self) -> tuple[int, int, Counter[int], Counter[str]]:
        """Joins the parts in their order; counts rows, errors, digits and doubts."""
        count, digits, doubts = 0, Counter[int](), Counter[str]()
        with ExitStack() as opened:
            write = _writer(self._joined, self.out.suffix, opened)
            for number in sorted(self._done()):
                lines = (self._folder / str(number)).read_bytes().splitlines()
                rows = [orjson.loads(line) for line in lines]
                count += len(rows)
                digits.update(row[2] for row in rows if row[6] is None)
                doubts.update(doubt for row in rows for doubt in row[4])
                write(rows)
        try:
            os.link(self._joined, self.out)  # unlike a rename, it never replaces a file
        except FileExistsError:
            raise Explained(
                f"{self.out} was made meanwhile; the result is {self._joined}"
            ) from None
        for path in sorted(self._folder.iterdir(), key=lambda path: path.name in _LAST):
            path.unlink()
        self._folder.rmdir()
        return count, count - digits.total(), digits, doubts


def _writer(file: Path, form: str, opened: ExitStack) -> Callable[[list[list[Any]]], object]:
    if form == ".parquet":
        pa, parquet = arrow()
        text = pa.string()
        kinds = (text, pa.int64(), pa.int8(), pa.float32(), pa.list_(text), text, text)
        schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
        table = opened.enter_context(parquet.ParquetWriter(file, schema))
        return lambda rows: table.write_table(pa.table(list(zip(*rows, strict=True)), schema))
    if form != ".csv":
        target = opened.enter_context(file.open("wb"))
        named = orjson.OPT_APPEND_NEWLINE
        return lambda rows: target.writelines(
            orjson.dumps(dict(zip(COLUMNS, row, strict=True)), option=named) for row in rows
        )
    lines = csv.writer(opened.enter_context(file.open("w", newline="")), lineterminator="\n")
    lines.writerow(COLUMNS)
    return lambda rows: lines.writerows((*row[:4], ",".join(row[4]), *row[5:]) for row in rows)
