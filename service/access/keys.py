"""The file of keys: its form, and how it is read. It holds no key, only the SHA-256 of each."""

from __future__ import annotations

import os
import secrets
import stat
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

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


Stamp = tuple[int, ...]
"""What differs between two states of a file: it changes with its content and its permissions."""


def read_file(path: Path, known: Stamp | None = None) -> tuple[Stamp, bytes | None]:
    """The stamp of the file of keys, and its content, or None if ``known`` is its stamp.

    A symbolic link is followed anew each time. Raises :class:`KeysError`.
    """
    try:
        # Without O_NONBLOCK, the open of a named pipe waits for its writer.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            state = os.fstat(file.fileno())
            stamp = state.st_dev, state.st_ino, state.st_ctime_ns, state.st_mtime_ns, state.st_size
            if stamp == known:
                return stamp, None
            _check(state)
            return stamp, file.read(MOST_BYTES)
    except OSError as error:
        raise KeysError((error.strerror or str(error)).lower()) from None


def _check(state: os.stat_result) -> None:
    mode = stat.S_IMODE(state.st_mode)
    if not stat.S_ISREG(state.st_mode):
        raise KeysError("it is not a file")
    if mode & 0o007:
        raise KeysError(
            f"every user of the machine may use it (mode {mode:04o}); chmod o= it, or set the "
            "defaultMode of a Kubernetes Secret to 0440"
        )
    if not state.st_size:
        raise KeysError("it is empty; `keys add` makes a file of keys")
    if state.st_size > MOST_BYTES:
        raise KeysError(f"it has {state.st_size} bytes; at most {MOST_BYTES} are read")


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
