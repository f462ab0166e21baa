"""Runs the original model on images in the form that it expects."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto

from service.types import Images
from training.errors import TrainingError
from training.onnx_import.formats import TYPES, Pixels, Shape
from training.onnx_import.graphs import opset
from training.onnx_import.options import LAYOUTS

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
        """Runs images (n, 28, 28) uint8; returns each output's values (n, values), by name.

        Leaves out an output that does not hold the same number of values for each image. Raises
        :class:`TrainingError` if ONNX Runtime fails.
        """
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
