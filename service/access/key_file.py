"""The keys that are in force: those of the file, which a thread follows while the service runs."""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from hmac import compare_digest
from pathlib import Path

from service.access.keys import Key, KeysError, parse_keys, read_file, write_file
from service.observe.logs import LOGGER
from service.observe.metrics import Metrics
from service.settings import PREFIX, SettingsError

FOLLOW_SECONDS = 0.5
"""The pause between two looks at the file; workers must follow it within two seconds."""
_MOST_KEY_BYTES = 256
_SELECTOR = 8
"""The bytes of a SHA-256 by which a key is looked up; the others are compared in constant time."""


class KeyFile:
    """The keys of one worker. A file that cannot be used changes nothing: the keys stay in force.

    ``kept`` is where the workers of ``serve`` keep a copy of the last good file: a worker that
    starts while the file is damaged takes the keys of the others. Raises :class:`SettingsError` if
    there are no keys to begin with.
    """

    def __init__(self, path: Path, kept: Path | None, metrics: Metrics) -> None:
        self._path, self._kept, self._metrics = path, kept, metrics
        self._content, self._fault = b"", ""
        self._looking = threading.Lock()
        self._keys: dict[bytes, tuple[bytes, Key]] = {}
        try:
            self._take_up(read_file(path))
        except KeysError as fault:
            try:
                self._take(b"" if kept is None else read_file(kept))
            except KeysError:
                raise SettingsError(f"{PREFIX}KEYS={path}: {fault}") from None
        threading.Thread(target=self._follow, name="keys", daemon=True).start()

    def find(self, key: bytes) -> Key | None:
        """The entry of a key that is in force, else None."""
        if len(key) > _MOST_KEY_BYTES:
            return None
        digest = hashlib.sha256(key).digest()
        found = self._keys.get(digest[:_SELECTOR])
        if found is None or not compare_digest(found[0], digest) or found[1].expired:
            return None
        return found[1]

    def look(self, *, again: bool = False) -> None:
        """Takes the file up if it has changed, or ``again``."""
        with self._looking:
            try:
                content = read_file(self._path)
                if again or self._fault or content != self._content:
                    self._take_up(content)
            except KeysError as error:
                if str(error) != self._fault:
                    text = "the file of keys cannot be used; the keys of before stay in force"
                    LOGGER.error(text, extra={"file": str(self._path), "reason": str(error)})
                self._fault = str(error)
                self._metrics.set("keys_fault", 1)

    def _take_up(self, content: bytes) -> None:
        """Puts the keys of the file in force, and keeps a copy. Raises :class:`KeysError`."""
        self._take(content)
        self._content, self._fault = content, ""
        self._metrics.set("keys_fault", 0)
        LOGGER.info("read the keys", extra={"file": str(self._path), "keys": len(self._keys)})
        if self._kept is not None:
            with suppress(OSError):  # the keys are in force without the copy, too
                write_file(self._kept, content)

    def _take(self, content: bytes) -> None:
        """Puts the keys that it lists in force. Raises :class:`KeysError`."""
        keys = parse_keys(content).values()
        digests = ((bytes.fromhex(key.sha256), key) for key in keys)
        self._keys = {digest[:_SELECTOR]: (digest, key) for digest, key in digests}
        ends = [key.expires.timestamp() for key in keys if key.expires and not key.expired]
        self._metrics.set("keys_expire_timestamp_seconds", min(ends, default=0))

    def _follow(self) -> None:
        pause = threading.Event()
        while not pause.wait(FOLLOW_SECONDS):
            self.look()
