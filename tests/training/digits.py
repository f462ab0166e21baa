"""A few real digits in the forms that training reads, and the commands that read them."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.inference.runtime import Runtime
from service.models.repository import Repository
from training.data.loading import Dataset, load

NAMES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


def idx_bytes(array: NDArray[np.integer]) -> bytes:
    """The array, as unsigned bytes, in IDX form."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()


@cache
def mnist() -> Dataset:
    """All of MNIST, read once."""
    return load()


def few(train: int = 400, test: int = 100) -> Dataset:
    """The first digits of MNIST."""
    whole = mnist()
    return Dataset(
        whole.train_images[:train],
        whole.train_labels[:train],
        whole.test_images[:test],
        whole.test_labels[:test],
        source="few",
        hashes={},
    )


def write_folder(folder: Path, dataset: Dataset, *, zipped: bool = False) -> Path:
    """Writes the four IDX files and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for field, name in NAMES.items():
        content = idx_bytes(getattr(dataset, field))
        packed = gzip.compress(content, 1) if zipped else content
        (folder / f"{name}{'.gz' * zipped}").write_bytes(packed)
    return folder


@cache
def champion() -> Runtime:
    """The committed champion."""
    repository = Repository(Path(__file__).parents[2] / "models")
    return Runtime.load(repository.path(repository.champion()) / "model.onnx", provider="cpu")


def python(*words: object, **options: Any) -> tuple[int, list[str], str]:
    """Runs a program; returns the status, the lines of standard output, and standard error."""
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    return done.returncode, done.stdout.splitlines(), done.stderr


def train_here(*words: object) -> tuple[int, list[str], str]:
    """Runs ``train`` as :func:`python` would, but in this process, which has TensorFlow already.

    A process of its own takes 6 s longer.
    """
    from training.__main__ import main
    from training.network.load_tensorflow import load_tensorflow

    if "tensorflow" not in sys.modules:
        load_tensorflow()
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        # It also sets the number of TensorFlow's threads, which is fixed after the first operation.
        patch.setattr("training.run.load_tensorflow", lambda: None)
        status = main(list(map(str, words)))
    return status, out.getvalue().splitlines(), err.getvalue()
