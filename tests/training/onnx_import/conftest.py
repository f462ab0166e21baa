"""What the tests of adoption share: few images, so that each takes a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from onnx import ModelProto

from tests.digits import as_npz
from tests.training.onnx_import import strangers
from training.data.loading import load
from training.onnx_import.options import Wishes
from training.onnx_import.pipeline import Adopted, adopt

Take = Callable[..., Adopted]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An ``.npz`` with 2,048 of MNIST's training images and 200 of its test images."""
    mnist = strangers.dataset()
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    path.write_bytes(
        as_npz(
            x_train=mnist.train_images[20_000:22_048],
            y_train=mnist.train_labels[20_000:22_048],
            x_test=mnist.test_images[:200],
            y_test=mnist.test_labels[:200],
        )
    )
    yield path
    path.unlink()


@pytest.fixture
def take(data: Path, tmp_path: Path) -> Take:
    """Takes a model in, in this process."""

    def take_in(model: ModelProto | bytes, **wishes: str) -> Adopted:
        path = tmp_path / "stranger.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return adopt(path, Wishes(**wishes), load(data), lambda _: None)  # type: ignore[arg-type]

    return take_in
