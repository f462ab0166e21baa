"""Loads labelled digits from files and checks them.

The package contains the four files of MNIST (LeCun, Cortes and Burges,
http://yann.lecun.com/exdb/mnist/) and checks their SHA-256 at every load. Another folder of IDX
files or an ``.npz`` can replace them. Nothing here reads pickle.
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

# The names of the arrays in an .npz: in Keras' mnist.npz, and in MedMNIST's files.
NPZ_NAMES = {
    "x_train": "train_images",
    "y_train": "train_labels",
    "x_test": "test_images",
    "y_test": "test_labels",
}


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
    try:
        if source is None:
            return _load_folder(MNIST, MNIST_SHA256)
        if source.is_dir():
            return _load_folder(source)
        if source.suffix == ".npz":
            return _load_npz(source)
        exists = source.exists()
    except OSError as error:
        raise DataError(f"{error.filename or source}: {error.strerror}") from error
    what = "neither a folder of IDX files nor an .npz" if exists else "no such data"
    raise DataError(f"{source}: {what}")


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


def _load_folder(folder: Path, sums: str | None = None) -> Dataset:
    """Reads the four files; ``sums`` lists the SHA-256 that they must have."""
    hashes: dict[str, str] = {}

    def read(stem: str, suffix: str) -> tuple[NDArray[np.uint8], str]:
        """Returns one file's array and path, and records its hash. Raises :class:`DataError`."""
        path = _find(folder, stem, suffix)
        content = path.read_bytes()
        hashes[path.name] = hashlib.sha256(content).hexdigest()
        if sums and f"{hashes[path.name]}  {path.name}" not in sums.splitlines():
            raise DataError(f"{path}: damaged, its SHA-256 differs from that of MNIST's file")
        try:
            return read_idx(content, BYTES_LIMIT), str(path)
        except Fault as fault:
            raise DataError(f"{path}: {fault.detail}") from fault

    def pair(part: str) -> tuple[Images, Labels]:
        images, images_name = read(f"{part}-images", "idx3-ubyte")
        labels, labels_name = read(f"{part}-labels", "idx1-ubyte")
        return _labelled(images, labels, images_name, labels_name)

    train, test = pair("train"), pair("t10k")
    return Dataset(*train, *test, source=str(folder), hashes=hashes)


def _load_npz(path: Path) -> Dataset:
    content = path.read_bytes()
    try:
        arrays = read_npz(content, BYTES_LIMIT, NPZ_NAMES.keys() | NPZ_NAMES.values())
    except Fault as fault:
        raise DataError(f"{path}: {fault.detail}") from fault

    def named(name: str) -> str:
        for known in (name, NPZ_NAMES[name]):
            if known in arrays:
                return known
        raise DataError(f"{path}: contains no {name} (or {NPZ_NAMES[name]})")

    def pair(part: str) -> tuple[Images, Labels]:
        images, labels = named(f"x_{part}"), named(f"y_{part}")
        return _labelled(arrays[images], arrays[labels], f"{path}: {images}", f"{path}: {labels}")

    train, test = pair("train"), pair("test")
    hashes = {path.name: hashlib.sha256(content).hexdigest()}
    return Dataset(*train, *test, source=str(path), hashes=hashes)


def _find(folder: Path, stem: str, suffix: str) -> Path:
    """Finds ``train-images-idx3-ubyte.gz``, also with a dot for the dash and without .gz."""
    for name in (f"{stem}-{suffix}", f"{stem}.{suffix}"):
        for ending in (".gz", ""):
            if (path := folder / f"{name}{ending}").is_file():
                return path
    raise DataError(f"{folder}: no {stem}-{suffix} or {stem}-{suffix}.gz")


def _labelled(
    images: NDArray[Any], labels: NDArray[Any], images_name: str, labels_name: str
) -> tuple[Images, Labels]:
    """Returns images (n, 28, 28) uint8 and labels (n,). Raises :class:`DataError`."""
    name = images_name
    try:
        pixels = images_from_array(images, "images", LIMITS)
        name = labels_name
        digits = labels_from_array(labels)
    except Fault as fault:
        raise DataError(f"{name}: {fault.detail}") from fault
    if len(pixels) != len(digits):
        raise DataError(f"{labels_name}: {len(digits):,} labels for {len(pixels):,} images")
    return pixels, digits
