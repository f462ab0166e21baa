"""The file of keys, with only the SHA-256 of each: its form, its changes, the keys in force."""

import fcntl
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hmac import compare_digest
from math import inf
from pathlib import Path
from time import sleep, time

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_serializer

from service.errors import Explained
from service.observe.logs import LOGGER
from service.observe.metrics import Metrics
from service.settings import PREFIX, Scope, SettingsError

MOST_BYTES = 1 << 20


class KeysError(Explained):
    """The file of keys cannot be used, or changed so; one line says why."""


class Key(BaseModel):
    """What the file says of a key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,63}$")
    """It begins with a letter, so that no IP address is the name of a caller."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    scopes: frozenset[Scope] = Field(min_length=1)
    rate: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Images a second; None: as many as a caller without a key."""
    expires: AwareDatetime | None = None
    added: AwareDatetime

    @property
    def ends(self) -> float:
        """When it expires, in seconds since 1970; infinity if it does not."""
        return inf if self.expires is None else self.expires.timestamp()

    @field_serializer("scopes")
    def _sorted(self, scopes: frozenset[Scope]) -> list[Scope]:
        return sorted(scopes)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    keys: list[Key]


def parse_keys(content: bytes) -> dict[str, Key]:
    """The keys in the file's ``content``, by their names. Raises :class:`KeysError`."""
    try:
        listed = _File.model_validate_json(content).keys
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise KeysError(f"it is damaged: {f'{place}: ' if place else ''}{first['msg']}") from None
    keys = {key.name: key for key in listed}
    if len(keys) < len(listed) or len({key.sha256 for key in listed}) < len(listed):
        raise KeysError("it is damaged: two keys have the same name or SHA-256")
    return keys


def read_file(path: Path) -> bytes:
    """The content of a file of keys. Raises :class:`KeysError`."""
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):  # the open of a named pipe would wait for a writer
            raise KeysError("it is not a file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise KeysError((error.strerror or str(error)).lower()) from None
    if state.st_mode & 0o007:
        raise KeysError(
            f"every user of the machine may use it (mode {stat.S_IMODE(state.st_mode):04o}); "
            "chmod o= it, or set the defaultMode of a Kubernetes Secret to 0440"
        )
    if not content:
        raise KeysError("it is empty; `keys add` makes a file of keys")
    if len(content) > MOST_BYTES:
        raise KeysError(f"it has {state.st_size} bytes; at most {MOST_BYTES} are read")
    return content


@contextmanager
def changed(path: Path) -> Iterator[dict[str, Key]]:
    """Yields the keys to change, and then replaces or makes the file, unless the block raises.

    A reader sees the old file or the new one. Owner, group and the group's right to read stay.
    """
    path = Path(os.path.realpath(path))  # resolve() raises RuntimeError at a loop of links
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    staged = path.with_name(f".{path.name}.new")
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        state = path.stat() if path.exists() else None
        keys = {} if state is None else parse_keys(read_file(path))
        yield keys
        staged.unlink(missing_ok=True)  # of a command that was killed
        mode = 0o600 if state is None else 0o600 | (state.st_mode & 0o040)
        with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(_File(keys=list(keys.values())).model_dump_json(indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
            if state is not None:
                with suppress(PermissionError):
                    os.fchown(file.fileno(), state.st_uid, state.st_gid)
        staged.replace(path)
        os.fsync(folder)
    finally:
        os.close(folder)


FOLLOW_SECONDS = 0.5
"""The pause between two looks at the file; workers must follow it within two seconds."""
_MOST_KEY_BYTES = 256
_SELECTOR = 8
"""The bytes of a SHA-256 by which a key is looked up; the others are compared in constant time."""
_NO_KEY = bytes(hashlib.sha256().digest_size), inf, None


class KeyFile:
    """The keys of one worker; they stay in force while the file cannot be used.

    ``kept`` is a copy for workers that start then. Raises SettingsError if there is none.
    """

    def __init__(self, path: Path, kept: Path | None, metrics: Metrics) -> None:
        self._path, self._kept, self._metrics = path, kept, metrics
        self._content, self._fault = b"", ""
        self._looking = threading.Lock()
        self._keys: dict[bytes, tuple[bytes, float, Key | None]] = {}
        try:
            self._take_up(read_file(path))
        except KeysError as fault:
            try:
                self._take_up(b"" if kept is None else kept.read_bytes())
            except (OSError, KeysError):
                raise SettingsError(f"{PREFIX}KEYS={path}: {fault}") from None
        threading.Thread(target=self._follow, name="keys", daemon=True).start()

    def find(self, key: bytes) -> Key | None:
        """The entry of a key that is in force, else None."""
        if len(key) > _MOST_KEY_BYTES:
            return None
        digest = hashlib.sha256(key.strip()).digest()
        entry, expires, found = self._keys.get(digest[:_SELECTOR], _NO_KEY)
        return found if compare_digest(entry, digest) and time() < expires else None

    def look(self) -> None:
        """Takes the file up if it has changed."""
        with self._looking:
            try:
                content = read_file(self._path)
                if self._fault or content != self._content:
                    self._take_up(content)
            except KeysError as error:
                if str(error) != self._fault:
                    text = "the file of keys cannot be used; the keys of before stay in force"
                    LOGGER.error(text, extra={"file": str(self._path), "reason": str(error)})
                self._fault = str(error)
                self._metrics.set("keys_fault", 1)

    def _take_up(self, content: bytes) -> None:
        """Puts the keys of the file in force. Raises :class:`KeysError`."""
        keys = parse_keys(content).values()
        entries = [(bytes.fromhex(key.sha256), key.ends, key) for key in keys]
        self._keys = {entry[0][:_SELECTOR]: entry for entry in entries}
        self._content, self._fault = content, ""
        ends = [key.ends for key in keys if time() < key.ends < inf]
        self._metrics.set("keys_expire_timestamp_seconds", min(ends, default=0))
        self._metrics.set("keys_fault", 0)
        LOGGER.info("read the keys", extra={"file": str(self._path), "keys": len(self._keys)})
        if self._kept is not None:
            staged = self._kept.with_name(f"keys.{os.getpid()}")
            staged.write_bytes(content)
            staged.replace(self._kept)

    def _follow(self) -> None:
        while True:
            sleep(FOLLOW_SECONDS)
            self.look()
