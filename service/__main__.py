"""The ``serve`` command."""

import sys
from collections.abc import Sequence

from service.cli.serve import parse_settings
from service.errors import Explained


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the service. Exits with 1 after a failure that one line explains."""
    try:
        settings = parse_settings(arguments)
        # The server is imported last: --help and a wrong flag answer without it.
        from service.server import run

        run(settings)
    except Explained as error:
        sys.exit(f"serve: {error}")


if __name__ == "__main__":
    main()
