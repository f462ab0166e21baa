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

from service.cli.output import in_one_line, print_text
from service.cli.parser import VERSION, Parser, parse, version_number
from service.errors import Fault, MissingRuntime
from service.models.repository import RepositoryError
from service.settings import CLIENT_KEY

Answer = dict[str, Any]
_TIMEOUT_S = 60.0
_MOST_BYTES = 1 << 28  # no picture within the limits is larger; a device can be endless
_ESCAPES = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}
"""What is printed for a file name's line ends and terminal control characters."""
_WRONG_ADDRESS = (401, 403, 404, 405)  # the service rejects the address, and so every file


class PredictError(Exception):
    """The command can answer no file at all; one line says why."""


class FileError(Exception):
    """The command cannot answer one file; one line says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 1 after a failure that one line explains, or exits with 2."""
    parser = _parser()
    options = parse(parser, arguments)
    if options.version is True:
        print(VERSION)
        return 0
    if not options.files:
        parser.error("name at least one FILE")
    status = 0
    try:
        ask = _in_process(options) if options.url is None else _over_http(options)
        for file in (file for name in options.files for file in _in(name)):
            try:
                answer = ask(_content(file))
            except FileError as error:
                status = _fail(str(error), options, file)
            else:
                line = json.dumps({"file": file, **answer}) if options.json else _line(file, answer)
                print_text(line)
    except PredictError as error:
        return _fail(str(error), options)
    except BrokenPipeError:
        return 1  # the reader of the output has closed it
    except OSError as error:
        return _fail(in_one_line(error), options)
    except KeyboardInterrupt:
        _fail("interrupted", options)
        return 130
    return status


def _parser() -> Parser:
    parser = Parser(
        prog="predict",
        description="Prints digit, confidence and file for each picture (PNG, JPEG, WebP, BMP, GIF "
        "or TIFF), and the reasons to doubt the answer.",
    )
    add, where = parser.add_argument, parser.add_mutually_exclusive_group()
    text = "a picture, a folder of them, - for standard input"
    add("files", nargs="*", metavar="FILE", help=text)
    text = "read a whole number in each picture; a comma separates its lines"
    add("--numbers", action="store_true", help=text)
    add("--json", action="store_true", help="print one JSON object a picture or failure")
    text = "answer with version N instead of the champion; without N, print mnist-serve's version"
    add("--version", nargs="?", const=True, type=version_number, metavar="N", help=text)
    text = "the model repository (default: MNIST_MODELS, or models, or the packaged champion)"
    default = os.environ.get("MNIST_MODELS") or None
    where.add_argument("--models", type=Path, default=default, metavar="DIR", help=text)
    text = f"ask the service there, such as http://127.0.0.1:8000, with the key in {CLIENT_KEY}"
    where.add_argument("--url", help=text)
    return parser


def _in(name: str) -> list[str]:
    """Returns the pictures in a folder, at any depth, sorted; or the name, if there are none."""
    from service.types import PICTURES

    tree = os.walk("" if name == "-" else name)
    found = (Path(folder, file) for folder, _, files in tree for file in files)
    pictures = sorted(path for path in found if path.suffix.lower() in PICTURES)
    return [str(path) for path in pictures if path.is_file()] or [name]


def _content(file: str) -> bytes:
    is_input = file == "-"
    if is_input and sys.stdin is None:
        raise FileError("it is closed")  # by now its number may be that of another file
    try:
        with open(0 if is_input else file, "rb", closefd=not is_input) as opened:
            content = opened.read(_MOST_BYTES + 1)
    except IsADirectoryError:
        raise FileError("it holds no picture") from None
    except OSError as error:
        raise FileError(error.strerror) from None
    if len(content) > _MOST_BYTES:
        raise FileError(f"it is larger than {_MOST_BYTES >> 20} MiB")
    return content


def _in_process(options: argparse.Namespace) -> Callable[[bytes], Answer]:
    try:  # imported here, so that --help and a usage error take no time
        import orjson

        from service.answer import predictions
        from service.classifier import Classifier
        from service.inference.runtime import RuntimeLoadError
    except MissingRuntime as error:
        raise PredictError(str(error)) from None
    try:
        classifier = Classifier(options.models, options.version)
    except (RepositoryError, RuntimeLoadError) as error:
        raise PredictError(str(error)) from None

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
        raise PredictError(f"{url or '--url'}: an http or https address is expected")
    address = f"{url.rstrip('/')}/{'read' if options.numbers else 'predict'}"
    address += f"?version={options.version}" if options.version else ""

    def ask(body: bytes) -> Answer:
        headers = {"Content-Type": "image/*"}
        if key := os.environ.get(CLIENT_KEY):
            headers["Authorization"] = f"Bearer {key.strip()}"
        try:
            request = urllib.request.Request(address, body, headers)  # noqa: S310 - http, see above
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
                content = json.loads(reply.read())
            answer: Answer = content if options.numbers else content["predictions"][0]
            answer["text" if options.numbers else "digit"]
            return answer
        except urllib.error.HTTPError as error:
            if error.code in _WRONG_ADDRESS:
                raise PredictError(f"{url}: {_detail(error)}") from None
            raise FileError(_detail(error)) from None
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, IndexError):
            raise PredictError(f"{url}: the service there is not mnist-serve") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ConnectionResetError | BrokenPipeError):
                raise FileError("the service closed the connection; it may be too large") from None
            why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            raise PredictError(f"{url}: {why}") from None

    return ask


def _detail(error: urllib.error.HTTPError) -> str:
    """Returns the detail of the service's answer, or its status if there is none."""
    try:
        return str(json.loads(error.read())["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"the service answers {error.code} {error.reason}"


def _line(file: str, answer: Answer) -> str:
    if "text" in answer:
        return f"{answer['text'].replace(chr(10), ',') or '-'} {file.translate(_ESCAPES)}"
    line = f"{answer['digit']} {answer['confidence']:.4f} {file.translate(_ESCAPES)}"
    return f"{line}  in doubt: {', '.join(answer['doubts'])}" if answer["doubts"] else line


def _fail(why: str, options: argparse.Namespace, file: str | None = None) -> int:
    """Prints the line of a failure, of one file or of the command; returns its exit status."""
    found = {"error": why} if file is None else {"file": file, "error": why}
    shown = "standard input" if file == "-" else (file or "").translate(_ESCAPES)
    line = f"predict: {why}" if file is None else f"predict: {shown}: {why}"
    print(json.dumps(found) if options.json else line, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
