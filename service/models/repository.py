"""Reads the model repository: versions, cards, model files, the champion, the journal.

The layout, where ``root`` is the folder ``--models``, which may be mounted read-only::

    root/mnist/<version>/model.onnx   version: 1, 2, 3, ...; renamed into place, never changed
    root/mnist/<version>/card.json    every fact about the version, with model.onnx's SHA-256
    root/mnist/champion               the serving version's number and a newline
    root/mnist/challenger             number, share of callers and begin of the challenger
    root/mnist/journal.jsonl          who became champion when, and why: one JSON object a line

Files may be damaged or hostile: each read has a size limit, waits for no pipe, and fails with one
line. It opens its path anew, to follow a link that was swapped, as Kubernetes does.
"""

import hashlib
import io
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
MODEL_BYTES_LIMIT = 256 << 20
_NAME_BYTES, _CARD_BYTES, _JOURNAL_BYTES, _PICTURE_BYTES = 4096, 1 << 20, 64 << 20, 16 << 20

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
            folders = [path.name for path in self.folder.iterdir() if path.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RepositoryError(f"{self.folder} cannot be listed: {error.strerror}") from error
        return sorted(number for name in folders if (number := parse_version(name)) is not None)

    def has(self, version: int) -> bool:
        """Whether the version's folder exists; its content may still be damaged."""
        return self.path(version).is_dir()

    def path(self, version: int) -> Path:
        """Returns the version's folder, which may not exist."""
        return self.folder / str(version)

    def champion(self) -> int:
        """Returns the number in the ``champion`` file. Raises :class:`NoChampion` without one."""
        found = self._named("champion", _VERSION)
        if found is None:
            raise NoChampion(f"{self.folder / 'champion'} is missing: no version has been promoted")
        return int(found[0])

    def challenger(self) -> Challenger | None:
        """Returns what the ``challenger`` file says, None without one."""
        found = self._named("challenger", _CHALLENGER)
        return found and Challenger(found[1], min(1.0, float(found[2] or 0)), found[3] or "")

    def _named(self, name: str, form: re.Pattern[str]) -> re.Match[str] | None:
        """Returns the content of a small file; None without one."""
        path = self.folder / name
        content = _read_or_none(path, str(path), _NAME_BYTES)
        if content is None:
            return None
        text = content.decode("ascii", "replace").removesuffix("\n")
        if (found := form.fullmatch(text)) is None:
            raise RepositoryError(f"{path} is damaged: it holds {text[:32]!r}")
        return found

    def card(self, version: int) -> dict[str, Any]:
        """Returns the content of the version's ``card.json``. Raises :class:`RepositoryError`."""
        content = self._content(version, "card.json", _CARD_BYTES)
        damaged = f"version {version}: card.json is damaged"
        try:
            card = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise RepositoryError(f"{damaged}: {error}") from error
        match card:
            case {"sha256": str(), "version": str(number)} if number == str(version):
                return dict(card)
        raise RepositoryError(f"{damaged}: it is not the card of this version")

    def stamp(self, version: int) -> Stamp | None:
        """Returns the stamp of the version's files; None if there is no such version."""
        files = (self.path(version) / name for name in ("card.json", "model.onnx"))
        return tuple(map(_stamp, files)) if self.has(version) else None

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
        path = self.path(version) / f"{name}.png"
        return _PICTURE.fullmatch(name) and _read_or_none(
            path, f"version {version}: {path.name}", _PICTURE_BYTES
        )

    def journal(self) -> list[dict[str, Any]]:
        """Returns the journal's entries, oldest first; it leaves out a line torn by a crash."""
        path, entries = self.folder / "journal.jsonl", []
        for line in (_read_or_none(path, str(path), _JOURNAL_BYTES) or b"").splitlines():
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
    content, flaw = b"", None
    try:
        # Without O_NONBLOCK, opening a pipe in the file's place would wait for a writer.
        with io.FileIO(path, opener=lambda at, flags: os.open(at, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                flaw = "it is not a file"
            elif status.st_size > limit:
                flaw = f"it has more than {limit} bytes"
            else:
                content = file.readall()  # without a copy, while other threads run
                flaw = "it is being written" if len(content) > status.st_size else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RepositoryError(f"{shown} cannot be read: {error.strerror or error}") from error
    if flaw:
        raise RepositoryError(f"{shown} cannot be read: {flaw}")
    return content


def _stamp(path: Path) -> tuple[int, ...]:
    """Returns a file's identity, length and times of change; or the number of the error."""
    try:
        status = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
