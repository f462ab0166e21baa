"""Measures ``score`` beside a bare loop of ONNX Runtime, and beside what ``/predict`` does.

    python -m tests.bench.score

All on one pinned core and one thread, in CPU time, so that others on the machine take none of it;
the two of a pair take turns, and a ratio is the median of the rounds' ratios. The bare loop runs
batches of an array in memory and keeps the digits; ``score`` loads the model, reads the array from
a file and makes CSV. The pictures are sheets of 200 x 200 pixels as PNG and JPEG; ``/predict``'s
part is that of one request a picture in this process: decode, classify, look for doubts, make JSON.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from service.answer.predictions import members, predictions
from service.classifier import Classifier
from service.decode.pictures import Pictures, picture_doubts
from service.inference.batch import BatchResult
from service.inference.runtime import Runtime
from service.models.repository import Repository
from service.score.engines import local
from service.score.inputs import Inputs
from service.score.result import Result
from service.types import Images, Limits
from tests.bench.cases import first_images
from tests.bench.report import finish, markdown, place_and_time

BATCHES = (64, 256, 1024)
ROWS, PICTURES = 16_384, 256
TARGETS = {"arrays": 0.8, "pictures": 0.9}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.score", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="model repository")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("build/score.json"))
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options.models, Path(folder), options.rounds)
    report = {**place_and_time(), "rounds": options.rounds, "rows": rows}
    head = ["on one core", "rows/s", "beside", "rows/s", "ratio", "target"]
    finish(report, options.out, markdown(head, [list(map(str, row)) for row in rows], left=1))


def measure(models: Path, folder: Path, rounds: int) -> list[list[str]]:
    """The rows of the table."""
    repository = Repository(models)
    job = str(models), repository.champion()
    images = np.resize(first_images(2048), (ROWS, 28, 28))
    np.save(folder / "a.npy", images)
    runtime = Runtime.load(repository.read_model(repository.champion()), provider="cpu")
    batch = max(BATCHES, key=lambda rows: rate(lambda: bare(runtime, images, rows), ROWS))
    pictures = folder / "pictures"
    pictures.mkdir()
    files = [file_of(pictures, index, image) for index, image in enumerate(images[:PICTURES])]
    classifier = Classifier(models)
    return [
        compare(
            ("score, an array", lambda: scored(folder / "a.npy", job), ROWS),
            (f"bare loop, batches of {batch}", lambda: bare(runtime, images, batch), ROWS),
            TARGETS["arrays"],
            rounds,
        ),
        compare(
            ("score, pictures", lambda: scored(pictures, job), PICTURES),
            ("/predict in process", lambda: predicted(classifier, files), PICTURES),
            TARGETS["pictures"],
            rounds,
        ),
    ]


Timed = tuple[str, Callable[[], object], int]


def compare(ours: Timed, theirs: Timed, target: float, rounds: int) -> list[str]:
    pairs = [[rate(work, count) for _, work, count in (ours, theirs)] for _ in range(rounds)]
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return [ours[0], f"{mine:,.0f}", theirs[0], f"{other:,.0f}", f"{ratio:.2f} x", f">= {target}"]


def rate(work: Callable[[], object], count: int) -> float:
    """Images a second of this process's time."""
    began = time.process_time()
    work()
    return count / (time.process_time() - began)


def bare(runtime: Runtime, images: Images, rows: int) -> list[int]:
    digits: list[int] = []
    for start in range(0, len(images), rows):
        digits += runtime.run(images[start : start + rows]).argmax(axis=1).tolist()
    return digits


def scored(path: Path, job: tuple[str, int]) -> int:
    with tempfile.TemporaryDirectory() as folder, Result(Path(folder, "out.csv")) as result:
        inputs = Inputs([str(path)])
        result.begin(inputs.fingerprint, job[1], lambda: 0)
        for part in local(enumerate(inputs.parts()), *job, 1):
            result.add(*part)
        return result.finish()[0]


def predicted(classifier: Classifier, files: list[Path]) -> int:
    size = 0
    for file in files:
        seen = Pictures([file.read_bytes()]).preprocess(Limits())
        images = np.array([one.image for one in seen])
        probabilities, doubts = classifier.answer(images, picture_doubts(seen))
        answered = members(BatchResult(images, probabilities))
        size += len(predictions(classifier.version, answered, doubts))
    return size


def file_of(folder: Path, index: int, image: Images) -> Path:
    """The digit on a sheet of paper, as a camera or a scanner gives it."""
    paper = Image.new("L", (200, 200), 230)
    ink = Image.fromarray(255 - image).resize((140, 140))
    paper.paste(ink.point(lambda value: value * 230 // 255), (30, 30))
    kind = "PNG" if index % 2 else "JPEG"
    buffer = io.BytesIO()
    paper.save(buffer, kind)
    path = folder / f"{index:04}.{kind.lower()}"
    path.write_bytes(buffer.getvalue())
    return path


if __name__ == "__main__":
    main()
