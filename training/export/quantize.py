"""Quantises the convolutions of an exported network to int8: half the time on a CPU.

Static quantisation in QDQ form (Jacob et al. 2018, https://arxiv.org/abs/1712.05877). The weights
have one scale per output channel and 7 bits, so that 8-bit sums do not saturate on any CPU.
"""

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

from service.types import INPUT, Images
from training.errors import TrainingError
from training.export.convert import repair, save

CALIBRATION_IMAGES = 1000
CALIBRATION_BATCH = 50
# The operators that Keras and tf2onnx write for pixels / 255 with a channel axis.
FRONT = {"Cast", "Mul", "Div", "Reshape", "Unsqueeze"}


def quantize(exported: bytes, path: Path, images: Images, seed: int) -> None:
    """Quantises the network in ``exported``, the bytes of an ONNX file, and writes it to ``path``.

    ``seed`` draws training images (n, 28, 28) uint8, which set the ranges of the activations.
    Raises :class:`TrainingError` if the first convolution does not read ``pixels / 255``.
    """
    count = min(CALIBRATION_IMAGES, len(images))
    drawn = np.random.default_rng(seed).choice(len(images), count, replace=False)
    model = _bytes_to_convolution(onnx.load_from_string(exported))
    # Without this property the quantiser warns; the exporter has done the preprocessing.
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    parts = np.split(images[drawn], range(CALIBRATION_BATCH, count, CALIBRATION_BATCH))
    batches = iter([{INPUT: part} for part in parts])
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            raw,
            SimpleNamespace(get_next=lambda: next(batches, None)),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=["Conv"],
        )
        save(repair(onnx.load(raw)), path)


def _bytes_to_convolution(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replaces ``pixels / 255`` by DequantizeLinear, so that the first convolution runs in int8."""
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    convolution = next(node for node in graph.node if node.op_type == "Conv")
    front, name = [], convolution.input[0]
    while name in producers:
        front.append(producers[name])
        name = front[-1].input[0]
    if name != INPUT or {node.op_type for node in front} - FRONT:
        raise TrainingError("the first convolution does not read pixels / 255")
    for node in front:
        graph.node.remove(node)
    constants: dict[str, NDArray[Any]] = {
        "one_channel": np.array((-1, 1, 28, 28), np.int64),
        "pixel_scale": np.array(1 / 255, np.float32),
        "pixel_zero": np.array(0, np.uint8),
    }
    graph.initializer.extend(numpy_helper.from_array(c, name) for name, c in constants.items())
    pixels = ["pixels", "pixel_scale", "pixel_zero"]
    graph.node.insert(0, helper.make_node("DequantizeLinear", pixels, ["ink"]))
    graph.node.insert(0, helper.make_node("Reshape", [INPUT, "one_channel"], ["pixels"]))
    convolution.input[0] = "ink"
    used = {name for node in graph.node for name in node.input}
    for initializer in [entry for entry in graph.initializer if entry.name not in used]:
        graph.initializer.remove(initializer)
    return model
