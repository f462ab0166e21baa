"""Classifies the parts of a run: on threads of this process, or on the machines of Ray."""

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from service.classifier import Classifier
from service.decode.pictures import picture_doubts
from service.decode.validation import Flaws, round_pixels
from service.errors import Explained, Malformed
from service.imaging.load import open_picture
from service.imaging.pipeline import Seen, preprocess
from service.score.inputs import DAMAGE, LARGEST, Body, Item, why
from service.types import SIDE, Images, Limits

_AT_ONCE = 2048
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
Parts = Iterable[tuple[int, Sequence[Item]]]
Scored = tuple[int, bytes]


@lru_cache(maxsize=1)
def _classifier(models: str, version: int) -> Classifier:
    return Classifier(models, version)  # each process loads it once


def _score(models: str, version: int, number: int, part: Sequence[Item]) -> Scored:
    return number, score(part, _classifier(models, version))


def pack(number: int, part: Sequence[Item]) -> tuple[int, list[Any], Images | None]:
    """Puts all pixels of a part into one array, which reaches another process much faster."""
    arrays = [body for *_, body in part if isinstance(body, np.ndarray)]
    rest = [(*place, None if isinstance(body, np.ndarray) else body) for *place, body in part]
    return number, rest, np.stack(arrays) if arrays else None


def score_packed(
    models: str, version: int, number: int, rest: list[Any], pixels: Images | None
) -> Scored:
    """Returns the number and the rows of what :func:`pack` made."""
    each = iter(() if pixels is None else pixels)
    part = [(*place, next(each) if body is None else body) for *place, body in rest]
    return _score(models, version, number, part)


def local(parts: Parts, models: str, version: int, workers: int) -> Iterator[Scored]:
    """Classifies on threads: the model and the decoders release the interpreter's lock.

    Yields the number and the rows of each part once, in any order. Raises OSError if an input
    cannot be read.
    """
    _classifier(models, version)
    pool = ThreadPoolExecutor(workers)
    try:
        work = partial(_score, models, version)
        yield from _scored(parts, lambda *part: pool.submit(work, *part), workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _scored(
    parts: Parts, submit: Callable[[int, Sequence[Item]], Future[Scored]], workers: int
) -> Iterator[Scored]:
    waiting = set[Future[Scored]]()
    for number, part in parts:
        waiting.add(submit(number, part))
        if len(waiting) > workers:  # no more, since each holds its part
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in done)
    yield from (each.result() for each in waiting)


def connected(address: str | None) -> Any:
    """Returns Ray, in a cluster or, without an address, on this machine. Raises Explained."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ModuleNotFoundError:
        raise Explained("Ray is not installed; run: pip install 'mnist-serve[ray]'") from None
    try:
        if address not in {None, "auto"}:  # Ray itself would wait for a minute
            host, _, port = str(address).removeprefix("ray://").rpartition(":")
            socket.create_connection((host, port), 5).close()
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, OverflowError, RuntimeError) as error:
        where = f"{address} (HOST:PORT, ray://HOST:PORT or auto)"
        raise Explained(f"no Ray at {where}: {' '.join(str(error).split())[:300]}") from None
    return ray


def on_ray(
    parts: Parts, models: str, version: int, workers: int | None, address: str | None
) -> Iterator[Scored]:
    """Classifies as :func:`local` on a cluster, or on this machine without an address.

    Ray repeats the tasks of nodes that die. Raises :class:`Explained`, too.
    """
    ray = connected(address)
    try:
        task = ray.remote(max_retries=10)(score_packed)
        most = workers - 1 if workers else int(ray.cluster_resources().get("CPU", 1))
        yield from _scored(
            parts, lambda *part: task.remote(models, version, *pack(*part)).future(), most
        )
    except ray.exceptions.RayError as error:
        if isinstance(cause := getattr(error, "cause", None), OSError):
            raise cause from None
        raise Explained(f"Ray: {' '.join(str(error).split())[-300:]}") from None
    finally:
        ray.shutdown()


def score(part: Sequence[Item], classifier: Classifier) -> bytes:
    """Returns a row for each item, a list of JSON; numbers read back to the float32 of the answer.

    Raises OSError if a file of the part cannot be read.
    """
    starts = range(0, len(part), _AT_ONCE)
    return b"".join(_lines(part[at : at + _AT_ONCE], classifier) for at in starts)


def _lines(items: Sequence[Item], classifier: Classifier) -> bytes:
    images, known, errors = _read([body for _, _, body in items])
    good = [at for at in range(len(items)) if at not in errors]
    probabilities, doubts = classifier.answer(images[good], [known[at] for at in good])
    digits, largest = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1)
    found = dict(zip(good, zip(digits, largest, doubts, strict=True), strict=True))
    lines = []
    for at, (source, index, _) in enumerate(items):
        name = source.encode(errors="backslashreplace").decode()  # a file's name may be any bytes
        row = (name, index, *found.get(at, (None, None, ())), classifier.version, errors.get(at))
        lines.append(orjson.dumps(row, option=_OPTIONS))
    return b"".join(lines)


def _read(bodies: Sequence[Body]) -> tuple[Images, list[Any], dict[int, str]]:
    """Returns the images (n, 28, 28), the doubts of those from pictures, and errors by place."""
    images = np.zeros((len(bodies), SIDE, SIDE), np.uint8)
    known, errors = list[Any]([None] * len(bodies)), dict[int, str]()
    arrays = {at: body for at, body in enumerate(bodies) if isinstance(body, np.ndarray)}
    if arrays:
        pixels, flaws, places = np.stack(list(arrays.values())), Flaws("image"), list(arrays)
        whole = round_pixels(pixels, places, flaws)
        if flaws.found:
            errors = dict(flaws.found)
            pixels[np.isin(places, list(errors))] = 0
            whole = round_pixels(pixels, places, Flaws("image"))
        images[places] = whole
    for at in set(range(len(bodies))).difference(arrays):
        try:
            seen = _seen(bodies[at])
        except DAMAGE as error:
            errors[at] = why(error)
        else:
            images[at], (known[at],) = seen.image, picture_doubts([seen])
    return images, known, errors


def _seen(body: Body) -> Seen:
    """Finds the digit in a picture. Raises a Fault for one that cannot be read."""
    if isinstance(body, Path):
        try:
            with body.open("rb") as file:
                body = file.read(LARGEST)
        except PermissionError as error:
            raise Malformed(str(error.strerror)) from None
    if not isinstance(body, bytes):
        raise Malformed(str(body))
    return preprocess(open_picture(body, Limits()))
