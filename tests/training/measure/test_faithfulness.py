"""The figures of the committed versions, and of reasons that are known to be good or bad."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from service.inference.runtime import Runtime
from service.types import Images, Probabilities
from tests.service.reasons.mnist import digits
from tests.service.reasons.oracles import ask, by_occlusion
from training.measure.faithfulness import (
    attributions,
    curves,
    faithfulness,
    with_shuffled_weights,
)

MLP = Path(__file__).parents[3] / "models/mnist/1/model.onnx"


def upper_half(images: Images) -> Probabilities:
    """A model that looks at the upper half alone."""
    ink = images[:, :14].sum((1, 2)) / 255
    return np.stack([ink, *[0 * ink] * 9], 1).astype(np.float32)


def test_good_reasons_delete_fast_and_insert_fast() -> None:
    image = digits(1)[0]
    upper = np.where(np.arange(28) < 14, 1.0, 0.0)[:, None] * image
    good, bad = (curves(upper_half, image, 0, worth) for worth in (upper, -upper))
    assert good[0] < bad[0]
    assert good[1] > bad[1]


def test_the_reasons_of_a_version_hang_on_its_weights() -> None:
    figures = faithfulness(MLP.read_bytes(), digits(3000))
    assert figures["images"] == 30
    assert figures["deletion"] < figures["insertion"]
    assert abs(figures["randomised"]) < 0.3


def test_the_reasons_of_the_champion_beat_occlusion() -> None:
    own, rival = [], []
    for image in digits(30):
        digit = int(ask(image[None])[0].argmax())
        own.append(curves(ask, image, digit, attributions(ask, image, digit)))
        rival.append(curves(ask, image, digit, by_occlusion(image, digit)))
    (deletion, insertion), (deletion_of_rival, insertion_of_rival) = np.mean([own, rival], axis=1)
    assert deletion < deletion_of_rival
    assert insertion > insertion_of_rival


def test_the_shuffled_model_answers_otherwise() -> None:
    model, image = MLP.read_bytes(), digits(1)
    one, other = (
        Runtime.load(each, provider="cpu").run(image)
        for each in (model, with_shuffled_weights(model))
    )
    assert not np.allclose(one, other, atol=0.1)


def test_without_ink_there_is_nothing_to_measure() -> None:
    assert faithfulness(MLP.read_bytes(), np.zeros((5, 28, 28), np.uint8)) == {"images": 0}
