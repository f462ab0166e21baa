"""What classifiers expect and return: shapes, pixels, outputs; and a session that runs them.

Each conversion stands here twice, for arrays and as ONNX nodes, so that detection measures what the
wrapped model computes.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from service.types import Images, Probabilities
from training.errors import TrainingError
from training.onnx_import.graphs import Chain, opset
from training.onnx_import.options import DARK, LAYOUTS, Answer, Scale

TYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
}
# The lower bound of TensorFlow's tf.image.per_image_standardization: 1 / sqrt(784).
LEAST_DEVIATION = 1 / 28
# Rounding in float32, and in the 8 bits of a quantized output.
NEAR = 1e-2
# Avoids 0 / 0 for ten scores of 0; below every probability that the service reports.
LEAST_SCORE = 1e-7


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape in which a model expects images; ``batch`` None stands for any batch size."""

    layout: str
    batch: int | None

    def __str__(self) -> str:
        batch = "n" if self.batch is None else self.batch
        return f"[{','.join(map(str, (batch, *LAYOUTS[self.layout])))}]"


@dataclass(frozen=True, slots=True)
class Pixels:
    """The pixel values that a model expects; dark ink is inverted before the scale."""

    scale: Scale
    ink: str

    def array(self, images: Images) -> NDArray[np.float32]:
        """Converts images (n, 28, 28) uint8 to pixels (n, 28, 28) float32."""
        pixels: NDArray[np.float32] = images.astype(np.float32)
        if self.ink == DARK:
            pixels = np.float32(255) - pixels
        if self.scale.mean is None or self.scale.deviation is None:
            pixels = pixels / np.float32(255)
            pixels = pixels - pixels.mean(axis=(1, 2), keepdims=True)
            deviation = np.sqrt(np.square(pixels).mean(axis=(1, 2), keepdims=True))
            pixels = pixels / np.maximum(deviation, np.float32(LEAST_DEVIATION))
        else:
            factor, offset = _factor_and_offset(self.scale.mean, self.scale.deviation)
            pixels = pixels * factor + offset
        return pixels

    def add_nodes(self, chain: Chain) -> None:
        """Adds the same computation to a chain that ends with float32 [batch, 28, 28]."""
        if self.ink == DARK:
            chain.add("Sub", chain.constant(255), chain.end)
        if self.scale.mean is None or self.scale.deviation is None:
            # GlobalAveragePool, [batch, 1, 784] -> [batch, 1, 1], is the same in every opset.
            chain.add("Div", chain.end, chain.constant(255))
            flat = chain.add("Reshape", chain.end, chain.constant([0, 1, -1], np.int64))
            centred = chain.add("Sub", flat, chain.add("GlobalAveragePool", flat))
            chain.add("GlobalAveragePool", chain.add("Mul", centred, centred))
            # Relu(d - least) + least is max(d, least); Max does not broadcast in opset 7.
            chain.add("Sub", chain.add("Sqrt", chain.end), chain.constant(LEAST_DEVIATION))
            chain.add("Add", chain.add("Relu", chain.end), chain.constant(LEAST_DEVIATION))
            chain.add("Div", centred, chain.end)
            return
        factor, offset = _factor_and_offset(self.scale.mean, self.scale.deviation)
        chain.add("Mul", chain.end, chain.constant(factor))
        chain.add("Add", chain.end, chain.constant(offset))


def _factor_and_offset(mean: float, deviation: float) -> tuple[np.float32, np.float32]:
    """Returns the two numbers for which pixel * factor + offset is the scaled pixel."""
    return np.float32(1 / (255 * deviation)), np.float32(-mean / deviation)


def shapes(model: ModelProto, layout: str | None = None) -> list[Shape]:
    """Returns the shapes of images that fit the model's input; :class:`TrainingError` for none."""
    kind = model.graph.input[0].type.tensor_type
    declared = [dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim]
    fitting = [
        Shape(name, declared[0])
        for name, image in LAYOUTS.items()
        if len(declared) == 1 + len(image)
        and all(length in (None, size) for length, size in zip(declared[1:], image, strict=True))
    ]
    if not fitting or kind.elem_type not in TYPES:
        described = helper.printable_value_info(model.graph.input[0])
        expected = ", ".join(str(Shape(name, None)) for name in LAYOUTS)
        raise TrainingError(f"its input is {described}; expected numbers of shape {expected}")
    wanted = [shape for shape in fitting if layout in (None, shape.layout)]
    if not wanted:
        others = " or ".join(f"--layout {shape.layout}" for shape in fitting)
        raise TrainingError(f"layout {layout} does not fit its input; use {others}")
    return wanted


def recognise(values: NDArray[Any]) -> Answer:
    """Returns what rows (n, 10) are; ten sigmoids give ``scores``, which do not sum to 1."""
    lowest, highest = float(values.min()), float(values.max())
    if lowest >= -NEAR and highest <= 1 + NEAR:
        sums = values.sum(axis=1)
        return "probabilities" if bool((np.abs(sums - 1) <= NEAR).all()) else "scores"
    if highest <= NEAR and bool((np.abs(np.exp(values).sum(axis=1) - 1) <= NEAR).all()):
        return "log-probabilities"
    return "logits"


def to_probabilities(values: NDArray[Any], answer: Answer) -> Probabilities:
    """Converts rows of ten numbers (n, 10) to probabilities (n, 10) float32 that sum to 1."""
    rows: NDArray[np.float32] = values.astype(np.float32)
    if answer in ("probabilities", "scores"):
        rows = np.maximum(rows, np.float32(0))
        if answer == "scores":
            rows = rows + np.float32(LEAST_SCORE)
    else:  # logarithms of probabilities are logits too
        rows = np.exp(rows - rows.max(axis=1, keepdims=True))
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def add_answer_nodes(chain: Chain, answer: Answer) -> None:
    """Adds the same computation to a chain that ends with float32 [batch, 10]."""
    if answer in ("probabilities", "scores"):
        chain.add("Relu", chain.end)
        if answer == "scores":
            chain.add("Add", chain.end, chain.constant(LEAST_SCORE))
        chain.add("LpNormalization", chain.end, axis=1, p=1)
    else:
        chain.add("Softmax", chain.end)


BATCH = 64
# ONNX Runtime's messages begin with a place in its source.
PLACE = re.compile(r"/onnxruntime_src/.*?\) (?=[A-Z])")


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
        self.dtype = np.dtype(TYPES[model.graph.input[0].type.tensor_type.elem_type])
        self.outputs = [value.name for value in model.graph.output]

    def run(self, images: Images, pixels: Pixels, shape: Shape) -> dict[str, NDArray[Any]]:
        """Runs images (n, 28, 28) uint8; returns each output's values (n, values), by name."""
        size = shape.batch or BATCH
        starts = range(0, len(images), size)
        parts = [self._run(images[at : at + size], pixels, shape) for at in starts]
        return {
            name: np.concatenate([part[name] for part in parts])
            for name in self.outputs
            if all(name in part for part in parts)
        }

    def _run(self, images: Images, pixels: Pixels, shape: Shape) -> dict[str, NDArray[Any]]:
        count = len(images)
        missing = (shape.batch or count) - count
        images = np.pad(images, ((0, missing), (0, 0), (0, 0)))
        fed = pixels.array(images).astype(self.dtype).reshape(-1, *LAYOUTS[shape.layout])
        try:
            values = self._session.run(self.outputs, {self.input: fed})
        except Exception as error:  # ONNX Runtime raises many kinds
            raise TrainingError(f"it does not run: {one_line(error)}") from error
        return {
            name: value.reshape(len(images), -1)[:count]
            for name, value in zip(self.outputs, values, strict=True)
            if value.size and value.size % len(images) == 0
        }


def one_line(error: BaseException) -> str:
    """Returns an exception's text on one line, without the place in ONNX Runtime's source."""
    text = " ".join(str(error).split()).removeprefix("[ONNXRuntimeError] : ")
    return PLACE.sub("", text)[:500]
