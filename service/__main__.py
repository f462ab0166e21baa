"""The ``serve`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from service.cli.serve import parse_settings
from service.errors import MissingRuntime
from service.settings import SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the service. Returns 0 after a stop, 1 after a failure that one line explains."""
    try:
        settings = parse_settings(arguments)
        # The server is imported last: --help and a wrong flag answer without it.
        from service.server import ServeError, run

        try:
            run(settings)
        except ServeError as error:
            return _fail(error)
    except (SettingsError, MissingRuntime) as error:
        return _fail(error)
    return 0


def _fail(error: Exception) -> int:
    print(f"serve: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
