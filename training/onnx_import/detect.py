"""Detects what a model expects, by running it on labelled images in every likely form.

Many networks classify digits that are ten times too bright as well as before, but with wrong
probabilities. So where chance explains a difference in accuracy, the cross-entropy decides.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, helper

from service.answer.scores import DIGITS, SMALLEST_PROBABILITY
from service.types import Images, Labels
from training.errors import TrainingError, one_line
from training.onnx_import import forms as known
from training.onnx_import.forms import Form, Input
from training.onnx_import.simplify import opset

FLOATS, INTEGERS = {"float32", "float64"}, {"uint8", "int32", "int64"}
# No form fits a model that classifies fewer digits than this right.
LEAST_ACCURACY = 0.5
# Replaces infinity, and fits into float32.
LARGEST = 1e30
BATCH = 64


class Original:
    """An ONNX Runtime session. Raises :class:`TrainingError` if the model does not load."""

    def __init__(self, model: ModelProto) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises many kinds
            versions = f"opset {opset(model)}, IR version {model.ir_version}"
            why = f"ONNX Runtime {ort.__version__} cannot load it ({versions}): {one_line(error)}"
            raise TrainingError(why) from error
        self.input = model.graph.input[0].name
        self.outputs = [value.name for value in model.graph.output]
        self.dtype = dtype(model)

    def run(self, images: Images, form: Input) -> dict[str, NDArray[Any]]:
        """Runs images (n, 28, 28) uint8; returns each output's values (n, values), by name."""
        count, size = len(images), form.batch or BATCH
        padded = np.pad(images, ((0, -count % (form.batch or 1)), (0, 0), (0, 0)))
        parts: dict[str, list[NDArray[Any]]] = {}
        for at in range(0, len(padded), size):
            fed = form.array(padded[at : at + size]).astype(self.dtype)
            try:
                values = self._session.run(self.outputs, {self.input: fed})
            except Exception as error:  # ONNX Runtime raises many kinds
                raise TrainingError(f"it does not run: {one_line(error)}") from error
            for name, value in zip(self.outputs, values, strict=True):
                if value.size and value.size % len(fed) == 0:
                    parts.setdefault(name, []).append(value.reshape(len(fed), -1))
        return {name: np.concatenate(part)[:count] for name, part in parts.items()}


def dtype(model: ModelProto) -> str:
    """Returns the type of the numbers of the model's input, as NumPy names it."""
    return str(helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type))


def inputs(model: ModelProto) -> list[Input]:
    """Returns the forms of images that fit the model's input; :class:`TrainingError` for none."""
    kind = model.graph.input[0].type.tensor_type
    declared = [dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim]
    fitting = [
        Input(layout, declared[0])
        for layout, image in known.LAYOUTS.items()
        if len(declared) == 1 + len(image)
        and all(length in (None, size) for length, size in zip(declared[1:], image, strict=True))
    ]
    if not fitting or dtype(model) not in FLOATS | INTEGERS:
        described = helper.printable_value_info(model.graph.input[0])
        expected = ", ".join(Input(layout, None).shape for layout in known.LAYOUTS)
        raise TrainingError(f"its input is {described}; expected numbers of shape {expected}")
    return fitting


def detect(
    original: Original,
    shapes: Sequence[Input],
    images: Images,
    labels: Labels,
    *,
    scale: str | None,
    progress: Callable[[float], None],
) -> list[Form]:
    """Measures every form of input and output; returns the best one first, then by accuracy.

    Raises :class:`TrainingError` if it does not run or is right on too few images.
    """
    scales = [scale] if scale else list(known.SCALES)
    if original.dtype in INTEGERS:
        scales = [name for name in scales if name == known.WHOLE]
    if not scales:
        raise TrainingError(f"its input is {original.dtype}; use --scale {known.WHOLE}")
    ways = list(product(running(original, shapes), scales, known.INKS))
    forms: list[Form] = []
    for index, (shape, name, ink) in enumerate(ways):
        form = replace(shape, scale=name, ink=ink)
        forms += _measured(original.run(images, form), form, labels)
        progress((index + 1) / len(ways))
    best = best_of(forms)
    if best.accuracy < LEAST_ACCURACY:
        raise TrainingError(
            f"it classifies {best.accuracy:.1%} of {len(images)} images right at best "
            f"({best.input.shape}, {best.input.scale}, {best.input.ink}); if its pixels have "
            "another scale, set --scale MEAN,DEVIATION"
        )
    others = [form for form in forms if form is not best]
    return [best, *sorted(others, key=lambda form: -form.accuracy)]


def best_of(forms: Sequence[Form]) -> Form:
    """Returns the form of the lowest loss among those as accurate as the best but for chance.

    Chance explains two standard errors. Of losses that hardly differ the first one is taken.
    """
    best = max(forms, key=lambda form: form.accuracy)
    noise = 2 * (best.accuracy * (1 - best.accuracy) / best.images) ** 0.5
    close = [form for form in forms if form.accuracy >= best.accuracy - noise]
    return min(close, key=lambda form: round(form.loss, 3))


def running(original: Original, shapes: Sequence[Input]) -> list[Input]:
    """Returns the shapes for which the model returns ten numbers an image.

    Some files declare a free batch axis but take one image only: a batch of 1 is the second try.
    """
    found: dict[str, Input] = {}
    failures: list[str] = []
    for shape in [*shapes, *(replace(shape, batch=1) for shape in shapes if shape.batch is None)]:
        if shape.layout in found:
            continue
        try:
            outputs = original.run(np.zeros((3, 28, 28), np.uint8), shape)
        except TrainingError as error:
            failures.append(str(error))
            continue
        if any(values.shape[1] == DIGITS for values in outputs.values()):
            found[shape.layout] = shape
        else:
            counts = ", ".join(f"{v.shape[1]} ({name})" for name, v in outputs.items())
            failures.insert(0, f"it returns {counts} numbers an image; expected {DIGITS}")
    if not found:
        raise TrainingError(failures[0])
    return list(found.values())


def _measured(outputs: dict[str, NDArray[Any]], form: Input, labels: Labels) -> Iterator[Form]:
    """Yields each output of ten numbers, with its accuracy and its loss."""
    for name, raw in outputs.items():
        if raw.shape[1] == DIGITS:
            values = np.nan_to_num(raw.astype(np.float64), nan=0, posinf=LARGEST, neginf=-LARGEST)
            answer = known.recognise(values)
            probabilities = known.to_probabilities(values, answer)
            chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
            loss = -np.log(np.clip(chosen, SMALLEST_PROBABILITY, 1)).mean()
            accuracy = (probabilities.argmax(axis=1) == labels).mean()
            yield Form(form, name, answer, float(accuracy), float(loss), len(labels))
