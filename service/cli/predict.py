"""The ``predict`` command: prints the digit, or the number, in each picture, one line each."""

import argparse
import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from service.cli.parser import Parser, add_model, fail, parse, print_text, run
from service.errors import Explained, Fault
from service.settings import CLIENT_KEY

Answer = dict[str, Any]
_TIMEOUT_S = 60.0
_MOST_BYTES = 1 << 28  # no picture within the limits is larger; a device has no end
_ESCAPES = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}
"""What is printed for a file name's line ends and terminal control characters."""
_WRONG_ADDRESS = (401, 403, 404, 405)  # the service rejects the address, and so every file


class FileError(Exception):
    """The command cannot answer one file; one line says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 1 after a failure that one line explains, or exits with 2."""
    options = parse(_parser(), arguments)
    return run("predict", lambda: _predict(options))


def _predict(options: argparse.Namespace) -> int:
    from service.score.inputs import pictures_in

    status = 0
    ask = _in_process(options) if options.url is None else _over_http(options)
    for file in (file for name in options.files for file in pictures_in(name) or [name]):
        try:
            answer = ask(_content(file))
        except FileError as error:
            shown = "standard input" if file == "-" else file.translate(_ESCAPES)
            status = fail("predict", f"{shown}: {error}")
        else:
            line = json.dumps({"file": file, **answer}) if options.json else _line(file, answer)
            print_text(line)
    return status


def _parser() -> Parser:
    parser = Parser(
        prog="predict",
        description="Prints digit, confidence and file for each picture (PNG, JPEG, WebP, BMP, GIF "
        "or TIFF), and the reasons to doubt the answer.",
    )
    add, where = parser.add_argument, parser.add_mutually_exclusive_group()
    text = "a picture, a folder of them, - for standard input"
    add("files", nargs="+", metavar="FILE", help=text)
    text = "read a whole number in each picture; a comma separates its lines"
    add("--numbers", action="store_true", help=text)
    add("--json", action="store_true", help="print one JSON object a picture")
    add_model(parser, where)
    text = f"ask the service there, such as http://127.0.0.1:8000, with the key in {CLIENT_KEY}"
    where.add_argument("--url", help=text)
    return parser


def _content(file: str) -> bytes:
    if file == "-" and sys.stdin is None:
        raise FileError("it is closed")
    try:
        if file == "-":
            return sys.stdin.buffer.read(_MOST_BYTES)
        with Path(file).open("rb") as opened:
            return opened.read(_MOST_BYTES)
    except OSError as error:
        raise FileError(error.strerror) from None


def _in_process(options: argparse.Namespace) -> Callable[[bytes], Answer]:
    import orjson  # here, so that --help and a usage error take no time

    from service.answer import predictions
    from service.classifier import Classifier

    classifier = Classifier(options.models, options.version)

    def ask(body: bytes) -> Answer:
        try:
            found = classifier.read(body) if options.numbers else classifier.predict(body)[0]
        except Fault as fault:
            raise FileError(fault.detail) from None
        content = predictions.answer(found) if isinstance(found, list) else found
        answer: Answer = orjson.loads(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))
        return answer

    return ask


def _over_http(options: argparse.Namespace) -> Callable[[bytes], Answer]:
    url = options.url
    if not url.startswith(("http://", "https://")):
        raise Explained(f"{url or '--url'}: an http or https address is expected")
    address = f"{url.rstrip('/')}/{'read' if options.numbers else 'predict'}"
    address += f"?version={options.version}" if options.version else ""

    def ask(body: bytes) -> Answer:
        headers = {"Content-Type": "image/*"}
        if key := os.environ.get(CLIENT_KEY):
            headers["Authorization"] = f"Bearer {key.strip()}"
        try:
            request = urllib.request.Request(address, body, headers)  # noqa: S310 - http, see above
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
                content = reply.read()
        except urllib.error.HTTPError as error:
            if error.code in _WRONG_ADDRESS:
                raise Explained(f"{url}: {_detail(error)}") from None
            raise FileError(_detail(error)) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ConnectionResetError | BrokenPipeError):
                raise FileError("the service closed the connection; it may be too large") from None
            why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            raise Explained(f"{url}: {why}") from None
        try:
            answer: Answer = json.loads(content)
            return answer if "text" in answer else dict(answer["predictions"][0])
        except (ValueError, LookupError, TypeError):
            raise Explained(f"{url}: the service there is not mnist-serve") from None

    return ask


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"the service answers {error.code} {error.reason}"


def _line(file: str, answer: Answer) -> str:
    if "text" in answer:
        return f"{answer['text'].replace(chr(10), ',') or '-'} {file.translate(_ESCAPES)}"
    line = f"{answer['digit']} {answer['confidence']:.4f} {file.translate(_ESCAPES)}"
    return f"{line}  in doubt: {', '.join(answer['doubts'])}" if answer["doubts"] else line


if __name__ == "__main__":
    sys.exit(main())
