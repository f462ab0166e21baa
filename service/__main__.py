"""The ``serve`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from service.settings import SettingsError, read_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the service; returns 0 after a stop, 1 after a failure told in one line."""
    try:
        settings = read_settings(arguments)
        # What serves is only imported once it is wanted: --help and wrong flags answer at once.
        from service.server import ServeError, run

        try:
            run(settings)
        except ServeError as error:
            return _fail(error)
    except SettingsError as error:
        return _fail(error)
    return 0


def _fail(error: Exception) -> int:
    print(f"serve: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
