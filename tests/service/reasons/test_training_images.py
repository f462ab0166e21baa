from __future__ import annotations

import gzip
import logging
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from service.reasons.training_images import TrainingImages, load_index
from tests.digits import as_idx
from tests.service.reasons.mnist import DATA, digits, training_images
from training.data.loading import load

FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")


def test_the_nearest_are_those_of_a_search_through_every_image() -> None:
    known = load().train_images
    rows = known.reshape(len(known), 784).astype(np.float32)
    squares, same = (rows**2).sum(1), 0
    for image in digits(20):
        flat = image.reshape(784).astype(np.float32)
        exact = np.argsort(squares - 2 * rows @ flat)[:5]
        found = training_images().nearest(image, 5)
        same += len({each.place for each in found} & set(exact.tolist()))
        for each in found:
            assert np.array_equal(each.image, known[each.place])
            apart = np.linalg.norm(each.image.astype(float) - image) / 255
            assert each.distance == pytest.approx(apart, abs=1e-4)
    assert same >= 95


def test_a_label_restricts_the_search() -> None:
    found = training_images().nearest(digits(1)[0], 8, label=3)
    assert [each.label for each in found] == [3] * 8
    assert load().train_labels[[each.place for each in found]].tolist() == [3] * 8


def test_the_index_is_small() -> None:
    tracemalloc.start()
    index = TrainingImages.load(DATA)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(index.nearest(digits(1)[0], 1)) == 1
    assert size <= 20e6


def test_a_few_training_images_are_enough(tmp_path: Path) -> None:
    for name, array in zip(FILES, (digits(3), np.arange(3, dtype=np.uint8)), strict=True):
        (tmp_path / name).write_bytes(gzip.compress(as_idx(array)))
    few = TrainingImages.load(tmp_path)
    assert [each.place for each in few.nearest(digits(3)[1], 5)] == [1, 2, 0]
    assert few.nearest(digits(1)[0], 5, label=9) == []


def cut(folder: Path) -> None:
    content = (folder / FILES[0]).read_bytes()
    (folder / FILES[0]).write_bytes(content[: len(content) // 2])


def swap(folder: Path) -> None:
    (folder / FILES[0]).write_bytes((folder / FILES[1]).read_bytes())


def remove(folder: Path) -> None:
    (folder / FILES[1]).unlink()


@pytest.mark.anyio
@pytest.mark.parametrize("damage", [cut, swap, remove])
async def test_files_that_cannot_be_read_leave_the_service_without_them(
    tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    for name in FILES:
        shutil.copy(DATA / name, tmp_path)
    assert callable(damage)
    damage(tmp_path)
    with caplog.at_level(logging.WARNING, "mnist"):
        assert await load_index(tmp_path) is None
