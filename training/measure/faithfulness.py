"""Measures how faithful the reasons of an ONNX file are that the service gives for its answers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.reasons.explain import EXPLAIN_ROWS
from service.reasons.shapley import Image, attribute, cells
from service.reasons.steps import finish
from service.types import PIXELS, SIDE, Images, Probabilities
from training.export.verify import load, run

Map = NDArray[np.floating[Any]]  # what each pixel (28, 28) is worth
_STEPS = 20


def faithfulness(model: bytes, images: Images) -> dict[str, Any]:
    """Returns the figures of the first hundredth of the images (n, 28, 28), each a mean over them.

    ``deletion`` and ``insertion`` are the areas under the digit's probability while its ink goes
    or comes in the order of the attributions (Petsiuk et al. 2018): little and much are good.
    ``randomised`` is the correlation with those of shuffled weights (Adebayo et al. 2018), near 0.
    """
    ask, random = (partial(run, load(each)) for each in (model, with_shuffled_weights(model)))
    images = images[images.any((1, 2))][: max(1, len(images) // 100)]
    if not len(images):
        return {"images": 0}
    figures = []
    for image, digit in zip(images, ask(images).argmax(1).tolist(), strict=True):
        own, shuffled = (attributions(model, image, digit) for model in (ask, random))
        alike = correlation(own[image > 0], shuffled[image > 0])
        figures.append((*curves(ask, image, digit, own), alike))
    names = "deletion", "insertion", "randomised"
    return {"images": len(images), **dict(zip(names, np.mean(figures, 0).tolist(), strict=True))}


def attributions(ask: Callable[[Images], Probabilities], image: Image, digit: int) -> Map:
    """The attributions of ``/explain`` for a digit."""
    confidence = float(ask(image[None])[0, digit])
    return finish(attribute(image, digit, confidence, cells(image), EXPLAIN_ROWS), ask).values


def curves(
    ask: Callable[[Images], Probabilities], image: Image, digit: int, worth: Map
) -> tuple[float, float]:
    """The areas under the curves of deletion and of insertion."""
    pixels = np.flatnonzero(image)
    order = pixels[np.argsort(-worth.ravel()[pixels], kind="stable")]
    rank = np.full(PIXELS, PIXELS)
    rank[order] = np.arange(len(order))
    ends = np.linspace(0, len(order), _STEPS + 1).round()
    inserted = (rank < ends[:, None]).reshape(-1, SIDE, SIDE)
    asked = ask(np.concatenate([image * ~inserted, image * inserted]))[:, digit]
    deletion, insertion = (float(np.trapezoid(p, dx=1 / _STEPS)) for p in np.split(asked, 2))
    return deletion, insertion


def correlation(one: Map, other: Map) -> float:
    """Pearson's correlation; 0 if one of them is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def with_shuffled_weights(model: bytes) -> bytes:
    """The model with the values of each matrix and kernel in random order."""
    import onnx

    graph = onnx.load_from_string(model)
    random = np.random.default_rng(0)
    for weights in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.ndim > 1:
            shuffled = random.permutation(values.ravel()).reshape(values.shape)
            weights.CopyFrom(onnx.numpy_helper.from_array(shuffled, weights.name))
    content: bytes = graph.SerializeToString()
    return content
