"""Loads labelled digits from files and checks them.

The package contains the four files of MNIST (http://yann.lecun.com/exdb/mnist/) and checks their
SHA-256 at every load. Nothing here reads pickle.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.decode.arrays import images_from_array, labels_from_array, read_idx, read_npz
from service.errors import Fault
from service.types import Images, Labels, Limits
from training.errors import TrainingError

MNIST = Path(__file__).parents[1] / "mnist"
# In the format of sha256sum.
MNIST_SHA256 = """
0b367032e93c5d0cea0925647cfdb18614af8ee15f83e6f2fc2ad904a6835971  train-images-idx3-ubyte.gz
1787548bbe0bff1ec2ecdc0ef292b02df999e2d1a6002d27500982c652b17203  train-labels-idx1-ubyte.gz
1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be  t10k-images-idx3-ubyte.gz
b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b  t10k-labels-idx1-ubyte.gz
"""

# Training sets are larger than requests.
LIMITS = Limits(images=10_000_000)
BYTES_LIMIT = 8 << 30

# The arrays of Keras' mnist.npz, and the files of MNIST in the same order.
FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
Found = dict[str, tuple[str, NDArray[Any]]]
"""Arrays by their names in :data:`FILES`, each with the words for where it is."""


class DataError(TrainingError):
    """A data file cannot be used; one line names the file and says why."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images (n, 28, 28) uint8, 0 = background, 255 = full ink; labels (n,) int64, 0..9."""

    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    source: str
    hashes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Split:
    """The training images, split in two. It has no test images, so that a fit cannot see them."""

    train_images: Images
    train_labels: Labels
    validation_images: Images
    validation_labels: Labels
    labelled: tuple[Images, Labels] | None = None
    """What people labelled in use, (m, 28, 28) and (m,), -1 for no digit; a fit mixes it in."""


def load(source: Path | None = None) -> Dataset:
    """Loads the package's MNIST, a folder of IDX files or an ``.npz``; or raises DataError."""
    place, hashes = source or MNIST, dict[str, str]()
    try:
        if place.is_dir():
            found = _read_folder(place, hashes, MNIST_SHA256 if source is None else None)
        elif place.suffix == ".npz":
            found = _read_npz(place, hashes)
        else:
            what = "neither a folder of IDX files nor an .npz" if place.exists() else "no such data"
            raise DataError(f"{place}: {what}")
    except OSError as error:
        raise DataError(f"{error.filename or source}: {error.strerror}") from error
    train, test = (_labelled(found[f"x_{part}"], found[f"y_{part}"]) for part in ("train", "test"))
    return Dataset(*train, *test, source=str(place), hashes=hashes)


def split(dataset: Dataset, fraction: float, seed: int) -> Split:
    """Holds out a random ``fraction`` of the training images; raises DataError if none are left."""
    images, labels = dataset.train_images, dataset.train_labels
    held_out = round(len(images) * fraction)
    if held_out == len(images) or (fraction > 0 and held_out == 0):
        raise DataError(
            f"{dataset.source}: {len(images)} training images are too few to hold out "
            f"{fraction:.0%} for validation"
        )
    order = np.random.default_rng(seed).permutation(len(images))
    validation, train = np.sort(order[:held_out]), np.sort(order[held_out:])
    return Split(images[train], labels[train], images[validation], labels[validation])


def _read_folder(folder: Path, hashes: dict[str, str], sums: str | None) -> Found:
    """Reads the four files, plain or gzip; ``sums`` lists the SHA-256 that they must have."""
    found: Found = {}
    for name, file in FILES.items():
        path = folder / f"{file}.gz"
        if not path.is_file():
            path = folder / file
        if not path.is_file():
            raise DataError(f"{folder}: no {file} or {file}.gz")
        content = path.read_bytes()
        hashes[path.name] = hashlib.sha256(content).hexdigest()
        if sums and f"{hashes[path.name]}  {path.name}" not in sums.splitlines():
            raise DataError(f"{path}: damaged, its SHA-256 differs from that of MNIST's file")
        try:
            found[name] = str(path), read_idx(content, BYTES_LIMIT)
        except Fault as fault:
            raise DataError(f"{path}: {fault.detail}") from fault
    return found


def _read_npz(path: Path, hashes: dict[str, str]) -> Found:
    content = path.read_bytes()
    hashes[path.name] = hashlib.sha256(content).hexdigest()
    try:
        arrays = read_npz(content, BYTES_LIMIT, FILES.keys())
    except Fault as fault:
        raise DataError(f"{path}: {fault.detail}") from fault
    if missing := FILES.keys() - arrays.keys():
        raise DataError(f"{path}: contains no {min(missing)}")
    return {name: (f"{path}: {name}", array) for name, array in arrays.items()}


def _labelled(
    images: tuple[str, NDArray[Any]], labels: tuple[str, NDArray[Any]]
) -> tuple[Images, Labels]:
    """Returns images (n, 28, 28) uint8 and labels (n,). Raises :class:`DataError`."""
    name = images[0]
    try:
        pixels = images_from_array(images[1], "images", LIMITS)
        name = labels[0]
        digits = labels_from_array(labels[1])
    except Fault as fault:
        raise DataError(f"{name}: {fault.detail}") from fault
    if len(pixels) != len(digits):
        raise DataError(f"{name}: {len(digits):,} labels for {len(pixels):,} images")
    return pixels, digits
