"""Reads the model repository: versions, cards, model files, the champion, the journal.

Writes nothing, holds nothing in memory and takes no lock, so a read-only mount is enough. The
layout, where ``root`` is the folder given as ``--models``::

    root/mnist/<version>/model.onnx   version: 1, 2, 3, ...; renamed into place, never changed
    root/mnist/<version>/card.json    the version's whole story, with the SHA-256 of model.onnx
    root/mnist/champion               the serving version's number and a newline
    root/mnist/journal.jsonl          who became champion when, and why: one JSON object a line

What is read here may be half copied, damaged or hostile: every read is bounded, a pipe or device
in a file's place is refused instead of waited on, and each failure is one line.

Every read opens its path anew: so it follows a folder or symbolic link that was swapped, as
Kubernetes and git-sync do, and a network file system asks its server, which it promises to do when
a file is opened and at no other time.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import Any

import orjson

NAME = "mnist"
CHAMPION_BYTES_LIMIT = 4096
MODEL_BYTES_LIMIT = 256 << 20
CARD_BYTES_LIMIT = 1 << 20
JOURNAL_BYTES_LIMIT = 64 << 20
PICTURE_BYTES_LIMIT = 16 << 20

# 18 digits fit every integer type a version may meet on its way to a client.
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_PICTURE = re.compile(r"[a-z][a-z0-9_]{0,63}")


Stamp = tuple[tuple[int, ...], ...]
"""What tells a version's files from what they were before; equal ones need no second reading."""


class RepositoryError(Exception):
    """The repository cannot give what was asked for; one line says what and why."""


class NoChampion(RepositoryError):
    """No version has become champion yet: the ``champion`` file is not there."""


def parse_version(text: str) -> int | None:
    """The number of a version spelt the one way it may be, such as ``"3"``; None for others."""
    return int(text) if _VERSION.fullmatch(text) else None


class Repository:
    """The model repository under ``root``. Each method reads the disk anew.

    >>> repository = Repository(Path("models"))
    >>> model = repository.read_model(repository.champion())
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / NAME

    def versions(self) -> list[int]:
        """The numbers of all versions, ascending; empty where there is no repository.

        Anything not named as a version is ignored. A listing can be stale on a network volume:
        it is for showing, and never decides which version serves.
        """
        try:
            with os.scandir(self.folder) as entries:
                folders = [entry.name for entry in entries if entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RepositoryError(f"{self.folder} cannot be listed: {_why(error)}") from error
        return sorted(number for name in folders if (number := parse_version(name)) is not None)

    def has(self, version: int) -> bool:
        """Whether the version's folder is there; its content may still be damaged."""
        return self.path(version).is_dir()

    def path(self, version: int) -> Path:
        """The version's folder, whether or not it is there."""
        return self.folder / str(version)

    def model_path(self, version: int) -> Path:
        """The version's ONNX file, whether or not it is there."""
        return self.path(version) / "model.onnx"

    def champion(self) -> int:
        """The number in the ``champion`` file.

        Raises :class:`NoChampion` where the file is missing, and :class:`RepositoryError` where
        it does not hold one version number.
        """
        path = self.folder / "champion"
        try:
            content = _read(path, CHAMPION_BYTES_LIMIT)
        except FileNotFoundError as error:
            raise NoChampion(f"{path} is missing: no version has been promoted") from error
        except OSError as error:
            raise RepositoryError(f"{path} cannot be read: {_why(error)}") from error
        version = parse_version(content.decode("ascii", "replace").removesuffix("\n"))
        if version is None:
            raise RepositoryError(f"{path} is damaged: it holds {content[:32]!r}, not a version")
        return version

    def card(self, version: int) -> dict[str, Any]:
        """The content of the version's ``card.json``.

        Raises :class:`RepositoryError` where it is missing, is no JSON object, or describes
        another version.
        """
        content = self._content(version, "card.json", CARD_BYTES_LIMIT)
        try:
            card = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise RepositoryError(f"version {version}: card.json is damaged: {error}") from error
        if not isinstance(card, dict) or not isinstance(card.get("sha256"), str):
            raise RepositoryError(f"version {version}: card.json is damaged: it is no card")
        if card.get("version") != str(version):
            other = str(card.get("version"))[:20]
            raise RepositoryError(
                f"version {version}: card.json is damaged: it describes version {other}"
            )
        return card

    def stamp(self, version: int) -> Stamp | None:
        """Changes whenever the version's files do; None where there is no such version."""
        folder = self.path(version)
        stamp = tuple(_stamp(folder / name) for name in ("card.json", "model.onnx"))
        return stamp if self.has(version) else None

    def read_model(self, version: int) -> bytes:
        """The bytes of the version's ``model.onnx``, checked against the SHA-256 in its card.

        Load these bytes and not the path: they are what was checked. Raises
        :class:`RepositoryError` where a file is missing, damaged or over its limit.
        """
        return self.read(version)[1]

    def read(self, version: int) -> tuple[dict[str, Any], bytes]:
        """The version's card and the bytes of its ``model.onnx``, as :meth:`read_model`'s."""
        card = self.card(version)
        wanted = card["sha256"]
        content = self._content(version, "model.onnx", MODEL_BYTES_LIMIT)
        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            raise RepositoryError(
                f"version {version}: model.onnx has SHA-256 {found}, its card says {wanted[:64]}"
            )
        return card, content

    def picture(self, version: int, name: str) -> bytes | None:
        """The bytes of the version's ``name.png``; None where there is no picture of that name.

        Raises :class:`RepositoryError` where it cannot be read.
        """
        if not _PICTURE.fullmatch(name):
            return None
        path = self.path(version) / f"{name}.png"
        try:
            return _read(path, PICTURE_BYTES_LIMIT)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RepositoryError(
                f"version {version}: {path.name} cannot be read: {_why(error)}"
            ) from error

    def journal(self) -> list[dict[str, Any]]:
        """The journal's entries, oldest first; a line torn by a crash is left out."""
        path = self.folder / "journal.jsonl"
        try:
            content = _read(path, JOURNAL_BYTES_LIMIT)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RepositoryError(f"{path} cannot be read: {_why(error)}") from error
        entries = []
        for line in content.splitlines():
            try:
                entry = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    def _content(self, version: int, name: str, limit: int) -> bytes:
        path = self.path(version) / name
        try:
            return _read(path, limit)
        except FileNotFoundError as error:
            what = f"{name} is missing" if self.has(version) else f"it is not in {self.folder}"
            raise RepositoryError(f"version {version}: {what}") from error
        except OSError as error:
            raise RepositoryError(
                f"version {version}: {name} cannot be read: {_why(error)}"
            ) from error


def _read(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes; raises OSError for others."""
    try:
        return _read_once(path, limit)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ESTALE}:
            raise
    _ask_for_names(path.parent)
    return _read_once(path, limit)


def _read_once(path: Path, limit: int) -> bytes:
    descriptor = _open(path)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(None, "it is not a file")
        left = min(status.st_size, limit) + 1
        parts = []
        # One call for all of a file, with nothing copied: other threads go on meanwhile.
        while left > 0 and (part := os.read(descriptor, left)):
            parts.append(part)
            left -= len(part)
    finally:
        os.close(descriptor)
    if left <= 0:
        grew = status.st_size <= limit
        raise OSError(None, "it is being written" if grew else f"it has more than {limit} bytes")
    return b"".join(parts)


def _ask_for_names(folder: Path) -> None:
    """Makes a network file system ask its server for the names in a folder.

    Until then it may remember for a minute that a name was not there, or a file since replaced.
    """
    for path in (folder.parent, folder):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError:
            return


def _stamp(path: Path) -> tuple[int, ...]:
    """A file's identity, length and time of change; or the error number that it gives."""
    try:
        descriptor = _open(path)
    except OSError as error:
        return (error.errno or 0,)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _open(path: Path) -> int:
    # Without O_NONBLOCK, opening a pipe in the file's place would wait for a writer.
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _why(error: OSError) -> str:
    return error.strerror or str(error)
