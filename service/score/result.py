"""Keeps the finished parts of a result in ``FILE.parts/`` and joins them into ``FILE``.

A part is written beside its place and renamed, so a run that ends at any moment leaves whole parts
behind, and the next goes on with the others. One run at a time holds the lock of the folder::

    FILE.parts/run.json   what the parts belong to: the inputs' fingerprint, the form, the version
    FILE.parts/12         the counts of part 12 in a line of JSON, then its rows
    FILE.parts/joined     the whole result, until it is linked to FILE
"""

import fcntl
import io
import os
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

import orjson

from service.score.inputs import ScoreError, arrow
from service.score.rows import COLUMNS, schema

_LAST = {"run.json", "joined"}  # the marks of a finished run

Counts = dict[str, Counter[str]]
"""The numbers of images, digits and doubts, each by its name."""


class Result:
    """The result in ``out``; its ``with`` block holds the lock, and removes a folder without parts.

    Raises :class:`ScoreError` if ``out`` exists or another run writes it, OSError for the rest.
    """

    def __init__(self, out: Path) -> None:
        self.out, self._folder = out, Path(f"{out}.parts")
        self._joined = self._folder / "joined"

    def __enter__(self) -> Self:
        """Locks the folder."""
        linked = self._joined.exists() and self.out.exists() and self._joined.samefile(self.out)
        if self.out.exists() and not linked:
            raise ScoreError(f"{self.out} exists; remove it, or name another --out")
        if not self.out.parent.is_dir():
            raise ScoreError(f"the folder {self.out.parent} is missing")
        self._folder.mkdir(exist_ok=True)
        self._lock = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ScoreError(f"another run writes {self.out}; wait for it") from None
        if linked:  # a run was killed after its last step but one
            self.out.unlink()
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder.exists() and not self._done():
            shutil.rmtree(self._folder)
        os.close(self._lock)

    def _done(self) -> set[int]:
        return {int(path.name) for path in self._folder.iterdir() if path.name.isdigit()}

    def version(self) -> int | None:
        """Returns the version with which an earlier run began, None without one."""
        try:
            return int(orjson.loads((self._folder / "run.json").read_bytes())["version"])
        except (FileNotFoundError, ValueError):
            return None

    def begin(self, fingerprint: str, version: str) -> set[int]:
        """Returns the numbers of the parts that are done. Raises ScoreError if they are others'."""
        run, path = {"inputs": fingerprint, "version": version}, self._folder / "run.json"
        done = self._done()
        if done and path.read_bytes() != orjson.dumps(run):
            what = "another version" if version != str(self.version()) else "other inputs"
            raise ScoreError(f"{self._folder} is of a run with {what}; remove it to start again")
        self._write("run.json", orjson.dumps(run))
        return done

    def add(self, number: int, content: bytes) -> int:
        """Stores a part and returns how many rows it has."""
        self._write(str(number), content)
        return int(orjson.loads(content[: content.index(b"\n")])["images"]["rows"])

    def _write(self, name: str, content: bytes) -> None:
        staged = self._folder / f"{name}.staged"
        with staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.rename(self._folder / name)

    def finish(self, parts: int) -> Counts:
        """Joins the parts, in their order, into the file; returns all counts."""
        counts: Counts = {name: Counter() for name in ("images", "digits", "doubts")}
        with ExitStack() as opened:
            target = opened.enter_context(self._joined.open("wb"))
            add = _adder(target, self.out.suffix, opened)
            for number in range(parts):
                with (self._folder / str(number)).open("rb") as part:
                    for name, found in orjson.loads(part.readline()).items():
                        counts[name].update(found)
                    add(part)
        try:
            os.link(self._joined, self.out)  # unlike a rename, it never replaces a file
        except FileExistsError:
            raise ScoreError(
                f"{self.out} was made meanwhile; the result is {self._joined}"
            ) from None
        for path in sorted(self._folder.iterdir(), key=lambda path: path.name in _LAST):
            path.unlink()
        self._folder.rmdir()
        return counts


def _adder(target: IO[bytes], form: str, opened: ExitStack) -> Callable[[IO[bytes]], None]:
    """Returns what appends a part's rows to the result."""
    if form == ".csv":
        target.write(f"{','.join(COLUMNS)}\n".encode())
    if form != ".parquet":
        return lambda part: shutil.copyfileobj(part, target, 1 << 20)
    pa, parquet = arrow()
    writer = opened.enter_context(parquet.ParquetWriter(target, schema(pa)))
    return lambda part: writer.write_table(parquet.read_table(io.BytesIO(part.read())))
