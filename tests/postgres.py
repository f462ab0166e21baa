"""A private PostgreSQL server, which no other process reaches."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.server import wait_until

_NOBODY = 65534
"""PostgreSQL refuses to run as root."""
_FAST = ("-c", "fsync=off", "-c", "listen_addresses=", "-c", "shared_buffers=16MB")


def programs() -> Path | None:
    """The folder of the newest PostgreSQL that is installed: Debian's, or that on the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: each.parent.name)
    on_path = shutil.which("initdb")
    return folders[-1] if folders else None if on_path is None else Path(on_path).resolve().parent


@contextmanager
def postgres(folder: Path) -> Iterator[Callable[[], str]]:
    """Runs a server while the block runs; yields what makes a new database and returns its URL."""
    import psycopg

    where = programs()
    assert where is not None, "PostgreSQL is not installed"
    user: dict[str, Any] = {}
    if os.getuid() == 0:
        user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="pg-") as name, (folder / "postgres").open("wb") as log:
        home = Path(name)
        if user:
            os.chown(home, _NOBODY, _NOBODY)
        data, options = home / "data", {"cwd": home, "stdout": log, "stderr": log, **user}
        make = (where / "initdb", "-D", data, "-A", "trust", "-U", "digits", "--no-sync")
        subprocess.run(make, check=True, **options)
        process = subprocess.Popen([where / "postgres", "-D", data, "-k", home, *_FAST], **options)
        numbers = count(1)

        def database(sql: str) -> None:
            server = f"host={home} user=digits dbname=postgres"
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(sql)

        def answers() -> bool:
            try:
                database("SELECT 1")
            except psycopg.OperationalError:
                return False
            return True

        def new() -> str:
            one = f"digits{next(numbers)}"
            database(f"CREATE DATABASE {one}")
            return f"postgresql+psycopg://digits@/{one}?host={home}"

        try:
            wait_until(answers, 30)
            yield new
        finally:
            process.send_signal(signal.SIGINT)  # closes the connections that are left
            process.wait(30)
