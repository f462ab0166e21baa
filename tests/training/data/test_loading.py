from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.digits import NAMES, few, idx_bytes, write_folder
from training.data import loading
from training.data.loading import DataError, Dataset, load, split


def test_the_package_contains_all_of_mnist() -> None:
    mnist = load()
    assert mnist.train_images.shape == (60_000, 28, 28)
    assert mnist.test_images.shape == (10_000, 28, 28)
    assert mnist.train_images.dtype == np.uint8
    # Counted by the data set's authors: ones are the most frequent digit, fives the rarest.
    counts = np.bincount(mnist.train_labels)
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert mnist.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert len(mnist.hashes) == 4


def test_a_changed_byte_in_a_file_of_mnist_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the file is still a good IDX file."""
    folder = shutil.copytree(loading.MNIST, tmp_path / "mnist")
    monkeypatch.setattr(loading, "MNIST", folder)
    load()
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(labels.read_bytes()))
    content[8] ^= 1
    labels.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz: damaged, its SHA-256"):
        load()


def assert_few(dataset: Dataset) -> None:
    for field in NAMES:
        np.testing.assert_array_equal(getattr(dataset, field), getattr(few(), field))


@pytest.mark.parametrize("zipped", [False, True])
def test_a_folder_of_idx_files_may_be_gzip(tmp_path: Path, zipped: bool) -> None:
    write_folder(tmp_path, few(), zipped=zipped)
    dataset = load(tmp_path)
    assert_few(dataset)
    assert sorted(dataset.hashes) == sorted(path.name for path in tmp_path.iterdir())


def test_an_npz_has_the_arrays_of_keras(tmp_path: Path) -> None:
    arrays = [getattr(few(), field) for field in NAMES]
    path = tmp_path / "digits.npz"
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez_compressed(path, **dict(zip(names, arrays, strict=True)))
    assert_few(load(path))
    assert list(load(path).hashes) == ["digits.npz"]


@pytest.mark.parametrize(
    ("field", "damage", "message"),
    [
        ("train_images", lambda content: content[:-1], "cut short"),
        ("test_labels", lambda content: content[:-1], "cut short"),
        ("train_images", lambda content: content + b"\0", "data after its end"),
        ("test_images", lambda content: b"\x13\x37" + content[2:], "magic number"),
        ("train_images", lambda content: gzip.compress(content)[:-9], "gzip"),
        ("train_labels", few().train_labels[:-1], "399 labels for 400 images"),
        ("train_labels", np.array([0, 0, 0, 10] * 100), "label 3: is 10"),
        ("train_images", np.zeros((400, 32, 32)), r"\[400, 32, 32\]"),
        ("train_images", few().train_labels, r"\[400\]"),
        ("train_images", np.zeros((0, 28, 28)), "no images"),
        ("train_images", few().train_images > 100, "looks scaled to 0..1"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(
    tmp_path: Path, field: str, damage: Any, message: str
) -> None:
    write_folder(tmp_path, few())
    path = tmp_path / NAMES[field]
    content = damage(path.read_bytes()) if callable(damage) else idx_bytes(damage)
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_missing_or_no_data_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, few())
    (tmp_path / NAMES["test_labels"]).unlink()
    (tmp_path / "digits.csv").write_text("1,2,3")
    np.savez(tmp_path / "digits.npz", x_train=few().train_images, y_train=few().train_labels)
    for path, message in (
        (tmp_path, "no t10k-labels-idx1-ubyte"),
        (tmp_path / "nowhere", "nowhere: no such data"),
        (tmp_path / "digits.csv", r"digits\.csv: neither a folder"),
        (tmp_path / "digits.npz", r"digits\.npz: contains no x_test"),
        (Path("x" * 300), "^x{300}: File name too long$"),
    ):
        with pytest.raises(DataError, match=message):
            load(path)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """Unpickling an array of objects would run code; its header is enough to reject it."""

    class Trap:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return (pytest.fail, ("the pickle was loaded",))

    path = tmp_path / "digits.npz"
    digits = few()
    trapped = np.array([Trap()], dtype=object)
    np.savez(path, x_train=trapped, y_train=trapped, x_test=digits.test_images)
    with pytest.raises(DataError, match="objects"):
        load(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"digits\.npz: the \.npz is damaged"):
        load(path)


def test_the_split_leaves_no_training_image_out_and_depends_on_the_seed() -> None:
    digits = few()
    parts = split(digits, 0.25, seed=0)
    assert (len(parts.train_images), len(parts.validation_images)) == (300, 100)
    together = np.concatenate([parts.train_images, parts.validation_images]).reshape(400, -1)
    assert sorted(map(bytes, together)) == sorted(map(bytes, digits.train_images))
    assert len(parts.train_labels) == 300
    first, again, other = (split(digits, 0.25, seed).validation_labels for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_no_validation_is_allowed_and_nothing_to_train_on_is_not() -> None:
    assert len(split(few(), 0.0, seed=0).validation_images) == 0
    for train, share in ((2, 10), (1, 90)):
        with pytest.raises(DataError, match=f"too few to hold out {share}%"):
            split(few(train), share / 100, seed=0)
