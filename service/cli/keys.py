"""The ``keys`` command: adds, lists and revokes the keys with which callers use the service."""

import argparse
import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import get_args

from pydantic import ValidationError

from service.access.keys import Key, KeysError, changed, parse_keys, read_file
from service.cli.parser import Parser, add_version, parse, print_text, run
from service.settings import PREFIX, Scope, explain


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 1 after a failure that one line explains, or exits with 2."""
    parser = _parser()
    options = parse(parser, arguments)
    if options.keys is None:
        parser.error(f"name the file of keys: --keys FILE, or {PREFIX}KEYS")
    return run(f"keys: {options.keys}", lambda: print_text(options.run(options, parser)))


def _add(options: argparse.Namespace, parser: Parser) -> str:
    key = f"mnist_{secrets.token_urlsafe(32)}"  # scanners of source code can tell it by its begin
    at_midnight = "T00:00Z" if options.expires and len(options.expires) <= len("2030-12-31") else ""
    fields = {
        "name": options.name,
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "scopes": [scope.strip() for scope in options.scopes.split(",")],
        "rate": options.rate,
        "expires": options.expires and options.expires + at_midnight,
        "added": datetime.now(UTC).replace(microsecond=0),
    }
    try:
        entry = Key.model_validate(fields, strict=False)
    except ValidationError as error:
        parser.error(explain(error, str))
    with changed(options.keys) as keys:
        if entry.name in keys:
            raise KeysError(f"it has a key {entry.name}; `keys revoke {entry.name}` revokes it")
        keys[entry.name] = entry
    return key


def _revoke(options: argparse.Namespace, parser: Parser) -> str:
    with changed(options.keys) as keys:
        if keys.pop(options.name, None) is None:
            known = ", ".join(keys) or "none"
            raise KeysError(f"it has no key {options.name[:64]!r}; it has {known}")
    return f"revoked {options.name}"


def _list(options: argparse.Namespace, parser: Parser) -> str:
    rows = [("name", "scopes", "images/s", "expires", "added")]
    for key in parse_keys(read_file(options.keys)).values():
        is_over = " (expired)" * (key.ends <= time())
        ends = f"{key.expires:%Y-%m-%d %H:%M}{is_over}" if key.expires else "-"
        rate = f"{key.rate:g}" if key.rate else "-"
        rows.append((key.name, ",".join(sorted(key.scopes)), rate, ends, f"{key.added:%Y-%m-%d}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _parser() -> Parser:
    parser = Parser(
        prog="keys",
        description="Adds, lists and revokes keys. The file holds only the SHA-256 of each, and a "
        "running service follows it.",
    )
    add_version(parser)
    file = f"the file of keys (default: the value of {PREFIX}KEYS)"
    default = os.environ.get(f"{PREFIX}KEYS") or None
    parser.add_argument("--keys", type=Path, default=default, metavar="FILE", help=file)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace, Parser], str], text: str) -> Parser:
        added: Parser = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        added.set_defaults(run=run)
        nothing = argparse.SUPPRESS
        added.add_argument("--keys", type=Path, default=nothing, metavar="FILE", help=file)
        return added

    add = command("add", _add, "make a key and print it, once: it is kept nowhere")
    add.add_argument("name", metavar="NAME", help="who will use it; the log shows this name")
    text = f"what it opens, with commas between: {', '.join(get_args(Scope))}"
    add.add_argument("--scope", dest="scopes", required=True, metavar="SCOPE,...", help=text)
    text = "images a second (default: as many as a caller without a key)"
    add.add_argument("--rate", metavar="IMAGES_PER_S", help=text)
    text = "when it expires: the begin of a day in UTC, such as 2030-12-31, or 2030-12-31T18:00Z"
    add.add_argument("--expires", metavar="DATE", help=text)
    command("list", _list, "list the keys: name, scopes, rate, when each expires and was added")
    text = "remove a key; a running service refuses it within two seconds"
    command("revoke", _revoke, text).add_argument("name", metavar="NAME", help="of the key")
    return parser


if __name__ == "__main__":
    sys.exit(main())
