from __future__ import annotations

import re
from functools import partial
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from service.inference.runtime import Runtime
from service.types import Images, Probabilities
from tests.tiny import dense_model_bytes, tiny_model_bytes
from training.export.verify import (
    LessAccurate,
    Reference,
    Verification,
    VerificationFailed,
    answers,
    check,
    verify,
)

IMAGES = np.random.default_rng(1).integers(0, 256, (40, 28, 28), np.uint8)


MODEL = tiny_model_bytes(seed=1)


def network(images: Images) -> Probabilities:
    """The tiny network in double precision, written apart from its ONNX file."""
    weights = np.random.default_rng(1).normal(0, 0.1, (784, 10))
    powers = np.exp(images.reshape(len(images), 784) / 255 @ weights)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def test_the_same_network_passes_on_all_images_at_all_batch_sizes() -> None:
    digits = network(IMAGES).argmax(axis=1)
    labels = np.concatenate([digits[:30], (digits[30:] + 1) % 10])
    figures = verify(MODEL, network, IMAGES, labels)
    assert figures.passed
    assert figures.images == figures.same_digit == 40 + 256 + 2
    assert figures.batch_sizes == (1, 2, 7, 64)
    assert 0 < figures.largest_difference <= 1e-5
    assert 0 <= figures.largest_batch_difference <= 1e-6
    assert figures.accuracy == 0.75
    assert list(figures.milliseconds_per_run) == ["1", "2", "7", "64"]


NAMES = {0: "test image 0", 39: "test image 39", 40: "probe 0", 297: "probe 257"}


@pytest.mark.parametrize(("index", "name"), NAMES.items())
def test_one_image_with_another_digit_fails_by_name(index: int, name: str) -> None:
    def other(images: Images) -> Probabilities:
        probabilities = network(images)
        probabilities[index] = np.roll(probabilities[index], 1)
        return probabilities

    with pytest.raises(VerificationFailed) as failure:
        verify(MODEL, other, IMAGES, np.zeros(40, np.int64))
    assert re.fullmatch(
        rf"{name}: digit . .*the network . \(by .*; 1 images differ", str(failure.value)
    )


def test_a_probability_beyond_the_tolerance_fails_though_the_digit_is_the_same() -> None:
    def shifted(by: float) -> Reference:
        def shift(images: Images) -> Probabilities:
            probabilities = network(images)
            probabilities[7, probabilities[7].argmax()] += np.float32(by)
            return probabilities

        return shift

    verify(MODEL, shifted(8e-6), IMAGES, np.zeros(40, np.int64))
    with pytest.raises(VerificationFailed, match=r"differ by 1\.2e-05, allowed 1e-05"):
        verify(MODEL, shifted(1.2e-5), IMAGES, np.zeros(40, np.int64))


def test_a_network_that_has_diverged_fails() -> None:
    with pytest.raises(VerificationFailed, match="test image 0: the network's own output is not"):
        verify(
            MODEL, lambda i: np.full((len(i), 10), np.nan, np.float32), IMAGES, np.zeros(40, int)
        )


def tiny_model_followed_by(*nodes: onnx.NodeProto, constants: tuple[Any, ...] = ()) -> bytes:
    """The tiny model with more nodes between its output, ``plain``, and ``probabilities``."""
    model = onnx.load_from_string(MODEL)
    model.graph.node[-1].output[0] = "plain"
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(constants)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def averaging_model() -> bytes:
    """A model that mixes each row with the mean of its batch; a row alone stays as it is."""
    axis = numpy_helper.from_array(np.array([0], np.int64), "axis")
    average = helper.make_node("ReduceMean", ["plain", "axis"], ["average"], keepdims=1)
    mean = helper.make_node("Mean", ["plain", "average"], ["probabilities"])
    return tiny_model_followed_by(average, mean, constants=(axis,))


@pytest.fixture
def coarse() -> bytes:
    """The tiny network with rounded weights, which returns other digits for some images."""
    weights = np.random.default_rng(1).normal(0, 0.1, (784, 10)).astype(np.float32)
    return dense_model_bytes(np.round(weights, 1), np.zeros(10, np.float32))


def test_a_coarser_file_may_lose_two_images_and_reports_the_loss(coarse: bytes) -> None:
    digits, others = (answers(model, IMAGES).argmax(axis=1) for model in (MODEL, coarse))
    changed = np.flatnonzero(digits != others)
    assert len(changed) >= 3

    def verified(lost: int) -> Verification:
        """Verifies with labels by which int8 loses ``lost`` images and wins the other changes."""
        labels = others.copy()
        labels[changed[:lost]] = digits[changed[:lost]]
        parent = verify(MODEL, network, IMAGES, labels)
        ask = partial(answers, MODEL)
        return verify(coarse, ask, IMAGES, labels, tolerance=None, parent=parent)

    whole = len(changed)
    too_many = next(lost for lost in range(whole + 1) if lost - (whole - lost) > 2)
    for lost in range(too_many, whole + 1):
        with pytest.raises(LessAccurate, match=r"int8 classifies .* fewer, allowed 0.02%$"):
            verified(lost)
    for lost in range(too_many):
        figures = verified(lost)
        assert figures.parent
        assert figures.accuracy == 1 - lost / 40
        assert figures.parent.accuracy == 1 - (whole - lost) / 40
        assert figures.same_digit <= 40 - whole + 258
        assert figures.largest_difference > 1e-3
        assert figures.as_dict()["parent"] == figures.parent.as_dict()
        assert "parent" not in figures.parent.as_dict()


def test_a_file_whose_rows_see_each_other_fails() -> None:
    model, labels = averaging_model(), np.zeros(40, np.int64)
    alone = Runtime.load(model, provider="cpu")

    def row_by_row(images: Images) -> Probabilities:
        return np.concatenate([alone.run(image[None]) for image in images])

    parent = verify(MODEL, network, IMAGES, labels)
    for verified in (
        lambda: check(model),
        lambda: verify(model, row_by_row, IMAGES, labels),
        lambda: verify(model, row_by_row, IMAGES, labels, tolerance=None, parent=parent),
    ):
        with pytest.raises(VerificationFailed, match=r"(image|probe) 0: digit . in batches of 2, "):
            verified()


NO_PROBABILITIES = tiny_model_followed_by(helper.make_node("Log", ["plain"], ["probabilities"]))


@pytest.mark.parametrize("content", [b"", b"no model", tiny_model_bytes()[:5000], NO_PROBABILITIES])
def test_a_file_that_does_not_serve_fails_in_one_line(content: bytes) -> None:
    with pytest.raises(VerificationFailed, match="the file does not serve: ") as failure:
        check(content)
    assert "\n" not in str(failure.value)


def test_answers_are_the_files_own() -> None:
    wanted = Runtime.load(MODEL, provider="cpu").run(IMAGES)
    assert (check(MODEL, IMAGES) == wanted).all()
    assert (answers(MODEL, IMAGES) == wanted).all()
    assert check(MODEL).shape == (0, 10)
