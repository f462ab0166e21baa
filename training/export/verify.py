"""Verifies an exported file: it returns the network's probabilities at every batch size.

An int8 file is compared with its float32 file: the probabilities may differ, the accuracy must not
fall. The files run in ``service.inference.runtime.Runtime``, as in the service.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.inference.runtime import Runtime, RuntimeLoadError
from service.settings import Settings
from service.types import Images, Probabilities
from training.errors import TrainingError, one_line

LARGEST_BATCH: int = Settings.model_fields["batch_rows"].default
BATCH_SIZES = (1, 2, 7, LARGEST_BATCH)
# Float32 has 7 digits, and two libraries add a layer's products in different orders.
TOLERANCE = 1e-5
# The same library and weights: only the kernel for the batch size can differ.
BATCH_TOLERANCE = 1e-6
SUM_TOLERANCE = 1e-4
# What int8 may cost: 0.02 percentage points, or two images if that is more.
ACCURACY_TOLERANCE = 0.0002
FEWEST_IMAGES = 2
RANDOM_IMAGES = 256
PROBES = RANDOM_IMAGES + 2

Reference = Callable[[Images], Probabilities]


class VerificationFailed(TrainingError):
    """The file failed; one line names the image and the difference."""


class LessAccurate(VerificationFailed):
    """An int8 file runs correctly but classifies too many digits wrongly; one line."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The figures of a verification that passed."""

    images: int
    test_images: int
    batch_sizes: tuple[int, ...]
    same_digit: int
    """Images with the reference's digit at every batch size; fewer than all only for int8."""
    largest_difference: float  # of a probability, from the reference
    largest_batch_difference: float  # of a probability, between an image in a batch and alone
    accuracy: float  # the file's accuracy on the test images
    milliseconds_per_run: dict[str, float]  # mean wall time of one execution by batch size
    parent: "Verification | None" = None
    """Of int8: the verification of the float32 file, which is the reference; else None."""
    passed: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Returns the form in the card, without fields that are None."""
        return asdict(self, dict_factory=lambda pairs: {k: v for k, v in pairs if v is not None})


def verify(
    model: Path | bytes,
    reference: Reference,
    test_images: Images,
    test_labels: NDArray[np.integer[Any]],
    *,
    tolerance: float | None = TOLERANCE,
    parent: Verification | None = None,
) -> Verification:
    """Compares the ONNX file ``model`` with what it was made from: a network, or a float32 file.

    The test images (n, 28, 28) and :func:`probes` must have the same digit at every batch size, and
    probabilities within ``tolerance``, if there is one, alone and in a batch within
    :data:`BATCH_TOLERANCE`. Raises :class:`LessAccurate` if it is much below the ``parent``.
    """
    images, count = np.concatenate([test_images, probes()]), len(test_images)
    wanted = np.asarray(reference(images), np.float32)
    _require(np.all(np.isfinite(wanted), axis=1), "the network's own output is not finite")
    got, times, largest_batch = _in_batches(model, images)
    if tolerance is not None:
        for size, each in got.items():
            _compare(each, wanted, tolerance, f"in batches of {size}, the network")
    same = [each.argmax(axis=1) == wanted.argmax(axis=1) for each in got.values()]
    right = int((got[1][:count].argmax(axis=1) == test_labels).sum())
    before = round(parent.accuracy * count) if parent else 0
    if before - right > max(FEWEST_IMAGES, round(ACCURACY_TOLERANCE * count)):
        raise LessAccurate(
            f"int8 classifies {right} of {count} test images correctly, float32 {before}: "
            f"{(before - right) / count:.2%} fewer, allowed {ACCURACY_TOLERANCE:.2%}"
        )
    return Verification(
        images=len(images),
        test_images=count,
        batch_sizes=BATCH_SIZES,
        same_digit=int(np.all(same, axis=0).sum()),
        largest_difference=max(float(np.abs(each - wanted).max()) for each in got.values()),
        largest_batch_difference=largest_batch,
        accuracy=right / count,
        milliseconds_per_run=times,
        parent=parent,
    )


def check(model: Path | bytes, test_images: Images | None = None) -> Probabilities:
    """Checks a file without its network; returns its probabilities for ``test_images``.

    It must load, return probabilities, and the same for a row alone and in a batch.
    """
    images = probes() if test_images is None else np.concatenate([test_images, probes()])
    alone = _in_batches(model, images)[0][1]
    sums_to_1 = np.abs(alone.sum(axis=1) - 1) <= SUM_TOLERANCE
    _require(sums_to_1 & (alone >= 0).all(axis=1), "the output is not probabilities")
    return alone[: len(images) - PROBES]


def answers(model: Path | bytes, images: Images) -> Probabilities:
    """Returns a file's probabilities (n, 10) for images (n, 28, 28), n > 0, or raises."""
    return run(load(model), images)


def probes() -> Images:
    """Returns images unlike digits: random ones, all 0, all 255; (n, 28, 28) uint8."""
    random = np.random.default_rng(0).integers(0, 256, (RANDOM_IMAGES, 28, 28), np.uint8)
    return np.concatenate([random, *[np.full((1, 28, 28), level, np.uint8) for level in (0, 255)]])


def _in_batches(
    model: Path | bytes, images: Images
) -> tuple[dict[int, Probabilities], dict[str, float], float]:
    """Returns the answers and the milliseconds of a run by batch size; and how much they differ.

    Raises if an image has another digit or probabilities in a batch than alone.
    """
    runtime, got, times = load(model), dict[int, Probabilities](), dict[str, float]()
    for size in BATCH_SIZES:
        began = time.perf_counter()
        got[size] = run(runtime, images, size)
        seconds = time.perf_counter() - began
        times[str(size)] = round(seconds / -(-len(images) // size) * 1e3, 4)
    differences = [
        _compare(each, got[1], BATCH_TOLERANCE, f"in batches of {size}, alone")
        for size, each in got.items()
    ]
    return got, times, max(differences)


def load(model: Path | bytes) -> Runtime:
    """Loads a file as the service does; raises :class:`VerificationFailed`."""
    try:
        runtime = Runtime.load(model, provider="cpu")
        runtime.warm(BATCH_SIZES)
    except RuntimeLoadError as error:
        raise VerificationFailed(f"the file does not serve: {error}") from error
    return runtime


def run(runtime: Runtime, images: Images, size: int = LARGEST_BATCH) -> Probabilities:
    """Returns the probabilities (n, 10) of images (n, 28, 28), n > 0, in batches; or raises."""
    try:
        parts = [runtime.run(images[at : at + size]) for at in range(0, len(images), size)]
    except Exception as error:  # ONNX Runtime raises many types
        raise VerificationFailed(f"a run in batches of {size} failed: {one_line(error)}") from error
    return np.concatenate(parts)


def _compare(got: Probabilities, wanted: Probabilities, tolerance: float, where: str) -> float:
    """Returns the largest difference; raises if it is too large or a digit differs."""
    differences = np.abs(got - wanted).max(axis=1)
    digits, wanted_digits = got.argmax(axis=1), wanted.argmax(axis=1)
    # "Not within" instead of "above" also catches NaN.
    wrong = ~(differences <= tolerance) | (digits != wanted_digits)
    if wrong.any():
        first = int(np.argmax(wrong))
        second, best = np.sort(wanted[first])[-2:]
        raise VerificationFailed(
            f"{_name(first, len(got))}: digit {digits[first]} {where} {wanted_digits[first]} "
            f"(by {best - second:.2g}); probabilities differ by {differences[first]:.2g}, "
            f"allowed {tolerance:g}; {int(wrong.sum())} images differ"
        )
    return float(differences.max())


def _require(right: NDArray[Any], what: str) -> None:
    if not right.all():
        raise VerificationFailed(f"{_name(int(np.argmin(right)), len(right))}: {what}")


def _name(index: int, count: int) -> str:
    """Names image ``index`` of ``count``, of which the last are the probes."""
    probe = index - (count - PROBES)
    return f"test image {index}" if probe < 0 else f"probe {probe}"
