"""Reads the model repository: versions, cards, model files, the champion, the journal.

The reader needs only a read-only mount. The layout, where ``root`` is the folder ``--models``::

    root/mnist/<version>/model.onnx   version: 1, 2, 3, ...; renamed into place, never changed
    root/mnist/<version>/card.json    every fact about the version, with model.onnx's SHA-256
    root/mnist/champion               the serving version's number and a newline
    root/mnist/challenger             number, share of callers and begin of the challenger
    root/mnist/journal.jsonl          who became champion when, and why: one JSON object a line

Files may be half copied, damaged or hostile: every read has a size limit, the reader rejects a
pipe or device in a file's place without waiting for it, and each failure is one line. Every read
opens its path anew. So the reader follows a folder or symbolic link that was swapped, as Kubernetes
and git-sync do, and a network file system asks its server, which it does only at an open.
"""

import errno
import hashlib
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from service.errors import Explained
from service.observe.logs import LOGGER

NAME = "mnist"
PACKAGED = Path(__file__).resolve().parent.parent / "champion"
"""The repository inside the wheel: the champion at the time of the build, and no other version."""
CHAMPION_BYTES_LIMIT = 4096
MODEL_BYTES_LIMIT = 256 << 20
CARD_BYTES_LIMIT = 1 << 20
JOURNAL_BYTES_LIMIT = 64 << 20
PICTURE_BYTES_LIMIT = 16 << 20

# 18 digits fit every integer type in which a client may hold a version.
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_CHALLENGER = re.compile(r"([1-9][0-9]{0,17})(?: ([01](?:\.[0-9]{1,9})?)(?: (\S{1,40}))?)?")
_PICTURE = re.compile(r"[a-z][a-z0-9_]{0,63}")

Stamp = tuple[tuple[int, ...], ...]
"""Changes whenever a version's files change; with an equal stamp, reading again is useless."""


class RepositoryError(Explained):
    """The repository is damaged, or has no such version; one line says why."""


class Challenger(NamedTuple):
    """The version that challenges the champion: its share of callers, and when that began."""

    version: str
    share: float
    begun: str


class NoChampion(RepositoryError):
    """No version has become champion yet: the ``champion`` file does not exist."""


def parse_version(text: str) -> int | None:
    """Returns the number of a version in its only valid spelling, such as ``"3"``; else None."""
    return int(text) if _VERSION.fullmatch(text) else None


def default_root() -> Path:
    """Returns ``./models``; or the packaged repository, if only that one exists."""
    if (root := Path("models")).exists() or not PACKAGED.is_dir():
        return root
    LOGGER.info("no ./models here: using the packaged champion", extra={"models": str(PACKAGED)})
    return PACKAGED


class Repository:
    """The repository under ``root``, read anew each time; a model has ``model_bytes`` at most."""

    def __init__(self, root: Path, model_bytes: int = MODEL_BYTES_LIMIT) -> None:
        self.root = root
        self.model_bytes = model_bytes
        self.folder = root / NAME

    def versions(self) -> list[int]:
        """Returns the numbers of all versions, ascending; an absent repository has none."""
        # A network volume may return a stale listing, so it never decides which version serves.
        try:
            with os.scandir(self.folder) as entries:
                folders = [entry.name for entry in entries if entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RepositoryError(f"{self.folder} cannot be listed: {_why(error)}") from error
        return sorted(number for name in folders if (number := parse_version(name)) is not None)

    def has(self, version: int) -> bool:
        """Whether the version's folder exists; its content may still be damaged."""
        return self.path(version).is_dir()

    def path(self, version: int) -> Path:
        """Returns the version's folder, which may not exist."""
        return self.folder / str(version)

    def champion(self) -> int:
        """Returns the number in the ``champion`` file. Raises :class:`NoChampion` without one."""
        path = self.folder / "champion"
        content = _read_or_none(path, str(path), CHAMPION_BYTES_LIMIT)
        if content is None:
            raise NoChampion(f"{path} is missing: no version has been promoted")
        text = content.decode("ascii", "replace").removesuffix("\n")
        if (version := parse_version(text)) is None:
            raise RepositoryError(f"{path} is damaged: it holds {text[:32]!r}, not a version")
        return version

    def challenger(self) -> Challenger | None:
        """Returns what the ``challenger`` file says, None without one."""
        path = self.folder / "challenger"
        content = _read_or_none(path, str(path), CHAMPION_BYTES_LIMIT)
        if content is None:
            return None
        text = content.decode("ascii", "replace").removesuffix("\n")
        if (found := _CHALLENGER.fullmatch(text)) is None:
            raise RepositoryError(f"{path} is damaged: it holds {text[:32]!r}")
        return Challenger(found[1], min(1.0, float(found[2] or 0)), found[3] or "")

    def card(self, version: int) -> dict[str, Any]:
        """Returns the content of the version's ``card.json``. Raises :class:`RepositoryError`."""
        content = self._content(version, "card.json", CARD_BYTES_LIMIT)
        damaged = f"version {version}: card.json is damaged"
        try:
            card = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise RepositoryError(f"{damaged}: {error}") from error
        if not isinstance(card, dict) or not isinstance(card.get("sha256"), str):
            raise RepositoryError(f"{damaged}: it is no card")
        if card.get("version") != str(version):
            other = str(card.get("version"))[:20]
            raise RepositoryError(f"{damaged}: it describes version {other}")
        return card

    def stamp(self, version: int) -> Stamp | None:
        """Returns the stamp of the version's files; None if there is no such version."""
        folder = self.path(version)
        stamp = tuple(_stamp(folder / name) for name in ("card.json", "model.onnx"))
        return stamp if self.has(version) else None

    def read_model(self, version: int) -> bytes:
        """Returns the bytes of the version's ``model.onnx``; raises as :meth:`read` does."""
        return self.read(version)[1]

    def read(self, version: int) -> tuple[dict[str, Any], bytes]:
        """Returns the card and the matching bytes of ``model.onnx``; raises as :meth:`card`."""
        card, content = self.card(version), self._content(version, "model.onnx", self.model_bytes)
        found, wanted = hashlib.sha256(content).hexdigest(), card["sha256"]
        if found != wanted:
            wrong = f"model.onnx has SHA-256 {found}, its card says {wanted[:64]}"
            raise RepositoryError(f"version {version}: {wrong}")
        return card, content

    def picture(self, version: int, name: str) -> bytes | None:
        """Returns the bytes of the version's ``name.png``; None if there is no such picture."""
        if not _PICTURE.fullmatch(name):
            return None
        path = self.path(version) / f"{name}.png"
        return _read_or_none(path, f"version {version}: {path.name}", PICTURE_BYTES_LIMIT)

    def journal(self) -> list[dict[str, Any]]:
        """Returns the journal's entries, oldest first; it leaves out a line torn by a crash."""
        path = self.folder / "journal.jsonl"
        entries = []
        for line in (_read_or_none(path, str(path), JOURNAL_BYTES_LIMIT) or b"").splitlines():
            with suppress(orjson.JSONDecodeError):
                entries.append(orjson.loads(line))
        return [entry for entry in entries if isinstance(entry, dict)]

    def _content(self, version: int, name: str, limit: int) -> bytes:
        content = _read_or_none(self.path(version) / name, f"version {version}: {name}", limit)
        if content is None:
            what = f"{name} is missing" if self.has(version) else f"it is not in {self.folder}"
            raise RepositoryError(f"version {version}: {what}")
        return content


def _read_or_none(path: Path, shown: str, limit: int) -> bytes | None:
    """Returns the content of a regular file of at most ``limit`` bytes; None if it is missing."""
    try:
        try:
            return _read(path, limit)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ESTALE, None}:  # None: it may be growing
                raise
        _refresh_names(path.parent)
        return _read(path, limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RepositoryError(f"{shown} cannot be read: {_why(error)}") from error


def _read(path: Path, limit: int) -> bytes:
    with open(path, "rb", buffering=0, opener=_open) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(None, "it is not a file")
        if status.st_size > limit:
            raise OSError(None, f"it has more than {limit} bytes")
        left, parts = status.st_size + 1, []
        # One call reads the whole file without a copy, while other threads run.
        while left > 0 and (part := file.read(left)):
            parts.append(part)
            left -= len(part)
    if left <= 0:
        raise OSError(None, "it is being written")
    return b"".join(parts)


def _refresh_names(folder: Path) -> None:
    """Makes a network file system ask its server for a folder's names, not its own memory."""
    with suppress(OSError):
        for path in (folder.parent, folder):
            os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _stamp(path: Path) -> tuple[int, ...]:
    """Returns a file's identity, length and times of change; or the number of the error."""
    try:
        with open(path, "rb", opener=_open) as file:
            status = os.fstat(file.fileno())
    except OSError as error:
        return (error.errno or 0,)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _open(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a pipe in the file's place would wait for a writer.
    return os.open(path, flags | os.O_NONBLOCK)


def _why(error: OSError) -> str:
    return error.strerror or str(error)
