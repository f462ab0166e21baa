"""The ``keys`` command: adds, lists and revokes the keys with which callers use the service."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from service.cli.output import in_one_line, print_text
from service.cli.parser import Parser, add_version, parse
from service.settings import PREFIX, Scope

SCOPES = ", ".join(get_args(Scope))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 1 after a failure that one line explains, or exits with 2."""
    parser = _parser()
    options = parse(parser, arguments)
    if options.keys is None:
        parser.error(f"name the file of keys: --keys FILE, or {PREFIX}KEYS")
    from service.access.keys import KeysError

    try:
        print_text(options.run(options, parser))
    except KeysError as error:
        return _fail(f"{options.keys}: {error}")
    except BrokenPipeError:
        return 1
    except OSError as error:
        return _fail(in_one_line(error))
    return 0


def _add(options: argparse.Namespace, parser: Parser) -> str:
    """Adds a key and returns it."""
    from pydantic import ValidationError

    from service.access.edit import changed, new_key
    from service.access.keys import Key, KeysError
    from service.settings import explain

    key, sha256 = new_key()
    at_midnight = "T00:00Z" if options.expires and len(options.expires) == len("2030-12-31") else ""
    fields = {
        "name": options.name,
        "sha256": sha256,
        "scopes": [scope.strip() for scope in options.scopes.split(",")],
        "rate": options.rate,
        "expires": options.expires and options.expires + at_midnight,
        "added": datetime.now(UTC).replace(microsecond=0),
    }
    try:
        entry = Key.model_validate(fields, strict=False)
    except ValidationError as error:
        parser.error(explain(error, str))
    with changed(options.keys, made=True) as keys:
        if entry.name in keys:
            raise KeysError(f"it has a key {entry.name}; `keys revoke {entry.name}` revokes it")
        keys[entry.name] = entry
    if entry.expired:
        print("keys: this key has expired already", file=sys.stderr)
    return key


def _revoke(options: argparse.Namespace, parser: Parser) -> str:
    """Removes a key."""
    from service.access.edit import changed
    from service.access.keys import KeysError

    with changed(options.keys) as keys:
        if keys.pop(options.name, None) is None:
            known = ", ".join(keys) or "none"
            raise KeysError(f"it has no key {options.name[:64]!r}; it has {known}")
    return f"revoked {options.name}"


def _list(options: argparse.Namespace, parser: Parser) -> str:
    """Returns a table of the keys."""
    from service.access.edit import read_keys

    rows = [("name", "scopes", "images/s", "expires", "added")]
    for key in read_keys(options.keys).values():
        ends = f"{key.expires:%Y-%m-%d %H:%M}" if key.expires else "-"
        rate = f"{key.rate:g}" if key.rate else "-"
        scopes, ends = ",".join(sorted(key.scopes)), ends + " (expired)" * key.expired
        rows.append((key.name, scopes, rate, ends, f"{key.added:%Y-%m-%d}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _parser() -> Parser:
    parser = Parser(
        prog="keys",
        description="Adds, lists and revokes keys. The file holds only the SHA-256 of each, and a "
        "running service follows it.",
    )
    add_version(parser)
    _add_file(parser, os.environ.get(f"{PREFIX}KEYS") or None)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    text = "make a key and print it, once: it is kept nowhere"
    add = commands.add_parser("add", help=text, description=f"{text.capitalize()}.")
    add.add_argument("name", metavar="NAME", help="who will use it; the log shows this name")
    text = f"what it opens, with commas between: {SCOPES}"
    add.add_argument("--scope", dest="scopes", required=True, metavar="SCOPE,...", help=text)
    text = "images a second (default: as many as a caller without a key)"
    add.add_argument("--rate", metavar="IMAGES_PER_S", help=text)
    text = "when it expires: the begin of a day in UTC, such as 2030-12-31, or 2030-12-31T18:00Z"
    add.add_argument("--expires", metavar="DATE", help=text)
    text = "list the keys: name, scopes, rate, when each expires and was added"
    show = commands.add_parser("list", help=text, description=f"{text.capitalize()}.")
    text = "remove a key; a running service refuses it within two seconds"
    revoke = commands.add_parser("revoke", help=text, description=f"{text.capitalize()}.")
    name = revoke.add_argument("name", metavar="NAME", help="the name of the key")
    name.completer = _names  # type: ignore[attr-defined]  # argcomplete calls it
    for each, run in ((add, _add), (show, _list), (revoke, _revoke)):
        _add_file(each, argparse.SUPPRESS)
        each.set_defaults(run=run)
    return parser


def _add_file(parser: argparse.ArgumentParser, default: str | None) -> None:
    text = f"the file of keys (default: the value of {PREFIX}KEYS)"
    parser.add_argument("--keys", type=Path, default=default, metavar="FILE", help=text)


def _names(parsed_args: argparse.Namespace, **_: object) -> Iterator[str]:
    from service.access.edit import read_keys
    from service.access.keys import KeysError

    try:
        yield from read_keys(parsed_args.keys)
    except (KeysError, TypeError):
        return


def _fail(why: str) -> int:
    print(f"keys: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
