"""Files of keys for tests, made with the ``keys`` command."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from service.cli.keys import main


def run(path: Path, *arguments: str) -> tuple[int, str, str]:
    """Runs ``keys``; returns its exit status, and what it printed and complained of."""
    printed, complaints = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(printed, "utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaints):
        try:
            status = main(["--keys", str(path), *arguments])
        except SystemExit as exit_:
            status = int(exit_.code or 0)
    return status, printed.getvalue().decode().strip(), complaints.getvalue()


def add(path: Path, name: str, scopes: str, *flags: str) -> str:
    """Adds a key and returns it."""
    status, key, complaints = run(path, "add", name, "--scope", scopes, *flags)
    assert status == 0, complaints
    return key


def bearer(key: str) -> dict[str, str]:
    """The header with which a caller sends a key."""
    return {"Authorization": f"Bearer {key}"}
