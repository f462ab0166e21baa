"""The ``predict`` command: what digit is in each picture file, one line a file.

In process it goes the way of ``POST /predict``, with the champion; with ``--url`` it asks a
running service.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from service.cli.parser import Parser, add_models, add_version, parse
from service.errors import Fault

Prediction = dict[str, Any]
_TIMEOUT_S = 60.0
_MOST_BYTES = 1 << 28
"""No picture within the limits is larger; devices such as /dev/zero never end."""
_CONTROLS = {*range(32), *range(127, 160)}
_NOT_THERE = (401, 403, 404, 405)
"""Statuses that speak of the address, not of the file."""


class PredictError(Exception):
    """No picture can be read at all; one line says why."""


class FileError(Exception):
    """One file cannot be read; one line says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; 0 on success, 1 on a failure told in one line, 2 on wrong usage."""
    options = parse(_parser(), arguments)
    try:
        predict = _in_process(options.models) if options.url is None else _over_http(options.url)
        return 1 if _failures(options.files, predict, as_json=options.json) else 0
    except PredictError as error:
        return _fail(str(error))
    except BrokenPipeError:
        return 1  # whoever read the output has gone, and knows
    except KeyboardInterrupt:
        _fail("interrupted")
        return 130


def _failures(names: list[str], predict: Callable[[bytes], Prediction], *, as_json: bool) -> int:
    """Prints a line for each file; gives how many cannot be read, each told."""
    failures = 0
    for name in names:
        try:
            prediction = predict(_bytes_of(name))
        except FileError as error:
            failures += 1
            _fail(f"{'standard input' if name == '-' else _on_one_line(name)}: {error}")
        else:
            _print(_line(name, prediction, as_json=as_json))
    return failures


def _print(line: str) -> None:
    """Writes a line to standard output; raises :class:`PredictError` where that fails."""
    if sys.stdout is None:
        raise PredictError("standard output is closed")
    try:
        # File names may hold what the output's encoding does not.
        encoding = sys.stdout.encoding
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        # The interpreter shall not try to flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise PredictError(f"standard output: {error.strerror}") from None


def _parser() -> Parser:
    parser = Parser(
        prog="predict",
        description="Says which digit is in each picture: PNG, JPEG, WebP, BMP, GIF or TIFF. "
        "Prints digit, confidence and file, and what speaks against it.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a picture; - for standard input")
    parser.add_argument("--json", action="store_true", help="print one JSON object a file")
    add_version(parser)
    where = parser.add_mutually_exclusive_group()
    add_models(where)
    where.add_argument("--url", help="ask the service there, such as http://127.0.0.1:8000")
    return parser


def _line(name: str, prediction: Prediction, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"file": name, **prediction})
    line = f"{prediction['digit']} {prediction['confidence']:.4f} {_on_one_line(name)}"
    return f"{line}  in doubt: {', '.join(prediction['doubts'])}" if prediction["doubts"] else line


def _on_one_line(name: str) -> str:
    """A file name without line ends, nor what would command a terminal."""
    return "".join(repr(sign)[1:-1] if ord(sign) in _CONTROLS else sign for sign in name)


def _bytes_of(name: str) -> bytes:
    is_input = name == "-"
    if is_input and sys.stdin is None:
        raise FileError("it is closed")  # and its number may be that of another file by now
    try:
        with open(0 if is_input else name, "rb", closefd=not is_input) as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise FileError(error.strerror or str(error)) from None
    if len(content) > _MOST_BYTES:
        raise FileError(f"it is larger than {_MOST_BYTES >> 20} MiB")
    return content


def _in_process(models: Path) -> Callable[[bytes], Prediction]:
    """Predicts with the champion of a repository; raises :class:`PredictError`."""
    # What predicts is only imported once it is wanted: --help and wrong flags answer at once.
    import numpy as np

    from service.answer.predictions import members, predictions
    from service.answer.quality import doubts, least_confidence
    from service.decode.pictures import Pictures
    from service.inference.batch import BatchResult
    from service.inference.runtime import Runtime, RuntimeLoadError
    from service.models.repository import Repository, RepositoryError
    from service.types import Limits

    try:
        repository = Repository(models)
        version = repository.champion()
        card = repository.card(version)
        runtime = Runtime.load(repository.read_model(version))
    except (RepositoryError, RuntimeLoadError) as error:
        raise PredictError(str(error)) from None
    limits = Limits()

    def predict(body: bytes) -> Prediction:
        """What the model answers for a picture file. Raises :class:`FileError`."""
        try:
            seen = Pictures([body]).look(limits)
        except Fault as fault:
            raise FileError(fault.detail) from None
        images = np.array([one.image for one in seen])
        probabilities = runtime.run(images)
        found = doubts(images, probabilities, least_confidence(card), seen)
        return _first(predictions(str(version), members(BatchResult(images, probabilities)), found))

    return predict


def _over_http(url: str) -> Callable[[bytes], Prediction]:
    """Predicts by asking a service; raises :class:`PredictError` where there is none."""
    if not url.startswith(("http://", "https://")):
        raise PredictError(f"{url or '--url'}: an http or https address is expected")
    address = f"{url.rstrip('/')}/predict"

    def predict(body: bytes) -> Prediction:
        """What the service answers for a picture file. Raises :class:`FileError`."""
        headers = {"Content-Type": "image/*"}
        try:
            request = urllib.request.Request(address, body, headers)  # noqa: S310 - http, see above
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                return _first(answer.read())
        except urllib.error.HTTPError as error:
            if error.code in _NOT_THERE:
                raise PredictError(f"{url}: {_detail(error)}") from None
            raise FileError(_detail(error)) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ConnectionResetError | BrokenPipeError):
                raise FileError("the service hung up on it; it may be too large") from None
            told = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            raise PredictError(f"{url}: {told}") from None

    return predict


def _first(answer: bytes) -> Prediction:
    try:
        prediction: Prediction = json.loads(answer)["predictions"][0]
        return prediction
    except (ValueError, KeyError, TypeError, IndexError):
        raise PredictError("what answers there is not mnist-serve") from None


def _detail(error: urllib.error.HTTPError) -> str:
    """What the service says is wrong, or the status where it is not ours to answer."""
    try:
        return str(json.loads(error.read())["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"the service answers {error.code} {error.reason}"


def _fail(why: str) -> int:
    print(f"predict: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
