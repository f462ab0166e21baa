"""The file of keys: its form, how it is read and changed. It has only the SHA-256 of each key."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_serializer

from service.settings import Scope

MOST_BYTES = 1 << 20


class KeysError(Exception):
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
    def expired(self) -> bool:
        """Whether the key has expired."""
        return self.expires is not None and self.expires <= datetime.now(UTC)

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
        with open(path, "rb", opener=_open_at_once) as file:
            state = os.fstat(file.fileno())
            content = file.read(MOST_BYTES + 1) if stat.S_ISREG(state.st_mode) else b""
    except OSError as error:
        raise KeysError((error.strerror or str(error)).lower()) from None
    if not stat.S_ISREG(state.st_mode):
        raise KeysError("it is not a file")
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


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # the open of a named pipe would wait for a writer


def write_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replaces a file in one step: a reader sees the old content or the new. Raises OSError."""
    staged = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


@contextmanager
def changed(path: Path) -> Iterator[dict[str, Key]]:
    """Yields the keys to change, and then replaces or makes the file, unless the block raises.

    The lock of the folder keeps others from changing the file meanwhile. A file that its group may
    read stays so, with its owner and group, so that the service can go on to read it. Raises
    :class:`KeysError` and OSError.
    """
    path = path.resolve()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        state = path.stat() if path.exists() else None
        keys = {} if state is None else parse_keys(read_file(path))
        yield keys
        mode = 0o600 if state is None else 0o600 | (state.st_mode & 0o040)
        write_file(path, _File(keys=list(keys.values())).model_dump_json(indent=1).encode(), mode)
        if state is not None:
            with suppress(PermissionError):
                os.chown(path, state.st_uid, state.st_gid)
        os.fsync(folder)
    finally:
        os.close(folder)
