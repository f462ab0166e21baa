from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from service.inference.runtime import Runtime
from service.types import Images
from tests.training.digits import few, mnist
from training.errors import TrainingError
from training.export.quantize import quantize
from training.export.verify import answers, probes, verify

TEST = mnist().test_images[:1000], mnist().test_labels[:1000]
NETWORKS: dict[str, dict[str, Any]] = {
    "cnn": {"filters": (8, 16, 16)},
    "valid_cnn": {"filters": (8, 16), "batch_normalization": True},
}


@dataclass(frozen=True)
class Pair:
    """A network trained for some seconds, its float32 file and its int8 file."""

    network: Any
    parent: Path
    int8: Path


@pytest.fixture(scope="module", params=list(NETWORKS))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    keras = pytest.importorskip("keras")
    from training.config import Config
    from training.export import convert
    from training.network import architectures

    keras.utils.set_random_seed(1)
    architecture = request.param
    config = Config(architecture=architecture, **NETWORKS[architecture])
    network, digits = architectures.build(config), few(4000)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(4e-3), loss)
    network.fit(digits.train_images, digits.train_labels, batch_size=64, epochs=8, verbose=0)
    folder = tmp_path_factory.mktemp(architecture)
    found = Pair(
        architectures.with_probabilities(network), folder / "float32.onnx", folder / "int8.onnx"
    )
    convert.export(found.network, found.parent)
    quantize(found.parent.read_bytes(), found.int8, digits.train_images, seed=1)
    return found


def test_every_convolution_multiplies_bytes_by_seven_bit_weights(pair: Pair) -> None:
    """16 bits hold the sum of two such products, which some CPUs add at a time."""
    graph = onnx.load(pair.int8).graph
    made_by = {name: node for node in graph.node for name in node.output}
    constants = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
    convolutions = convolutions_of(pair.int8)
    assert len(convolutions) == len(convolutions_of(pair.parent))
    for node in convolutions:
        inputs, weights = (made_by[name] for name in node.input[:2])
        assert inputs.op_type == weights.op_type == "DequantizeLinear"
        values, scales = (constants[name] for name in weights.input[:2])
        assert values.dtype == np.int8
        assert 60 <= np.abs(values.astype(int)).max() <= 64
        assert scales.shape == values.shape[:1]
    assert constants[made_by[convolutions[0].input[0]].input[1]] == np.float32(1 / 255)


def convolutions_of(path: Path) -> list[onnx.NodeProto]:
    return [node for node in onnx.load(path).graph.node if node.op_type == "Conv"]


def test_an_image_gets_the_same_bits_alone_and_in_every_batch(pair: Pair) -> None:
    images = np.concatenate([TEST[0][:64], probes()])
    runtime = Runtime.load(pair.int8, provider="cpu")
    alone = in_batches(runtime, images, 1)
    assert len({row.tobytes() for row in alone}) > 300
    for size in range(2, 65):
        assert in_batches(runtime, images, size).tobytes() == alone.tobytes(), size


def in_batches(runtime: Runtime, images: Images, size: int) -> Any:
    return np.concatenate([runtime.run(images[n : n + size]) for n in range(0, len(images), size)])


def test_it_is_verified_against_the_float32_file_and_that_against_the_network(pair: Pair) -> None:
    images, labels = TEST
    digits = [answers(path, images).argmax(axis=1) for path in (pair.int8, pair.parent)]
    assert all((read == labels).mean() > 0.6 for read in digits)
    # On the true labels a network this small loses more than is allowed; on its own digits none.
    float32 = verify(pair.parent, lambda i: pair.network.predict(i, verbose=0), images, digits[0])
    ask = partial(answers, pair.parent)
    proof = verify(pair.int8, ask, images, digits[0], tolerance=None, parent=float32)
    assert (proof.parent, float32.parent) == (float32, None)
    assert float32.largest_difference <= 1e-5 < proof.largest_difference < 0.5
    assert proof.same_digit >= 950
    assert (proof.accuracy, float32.accuracy) == (1, (digits[0] == digits[1]).mean())


def test_the_seed_draws_the_images_that_set_the_ranges(pair: Pair, tmp_path: Path) -> None:
    def written(seed: int) -> bytes:
        path = tmp_path / "model.onnx"
        quantize(pair.parent.read_bytes(), path, few(4000).train_images, seed)
        return path.read_bytes()

    assert written(1) == pair.int8.read_bytes() != written(2)


def test_the_first_convolution_must_be_there_and_read_pixels_over_255(
    pair: Pair, tmp_path: Path
) -> None:
    """Quantising would discard another normalisation of the pixels."""
    model = onnx.load(pair.parent)
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    index = list(model.graph.node).index(first)
    model.graph.node.insert(index, helper.make_node("Neg", [first.input[0]], ["inverted"]))
    first.input[0] = "inverted"
    with pytest.raises(TrainingError, match="does not read pixels / 255"):
        quantize(model.SerializeToString(), tmp_path / "model.onnx", few().train_images, 0)
    assert not (tmp_path / "model.onnx").exists()
