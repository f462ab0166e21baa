"""Runs a stranger's model as it came, whatever its batch, on images in the form it wants."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto

from service.types import Images
from training.onnx_import import AdoptError
from training.onnx_import.layouts import INPUTS, Layout
from training.onnx_import.pixels import Pixels

BATCH = 64
PLACE = re.compile(r"/onnxruntime_src/.*?\) (?=[A-Z])")


class Stranger:
    """A loaded model, with one input and outputs of floating point numbers.

    Raises :class:`AdoptError` where the runtime does not load it.
    """

    def __init__(self, model: ModelProto) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # whatever ONNX Runtime raises
            raise AdoptError(
                f"ONNX Runtime {ort.__version__} cannot load it: {one_line(error)}"
            ) from error
        self.input = model.graph.input[0].name
        self.dtype = np.dtype(INPUTS[model.graph.input[0].type.tensor_type.elem_type])
        self.outputs = [value.name for value in self._session.get_outputs()]

    def run(self, images: Images, pixels: Pixels, layout: Layout) -> dict[str, NDArray[Any]]:
        """Every output's values for images (n, 28, 28) uint8, one row an image: (n, values).

        Raises:
            AdoptError: the runtime does not run it.
        """
        size = BATCH if layout.batch is None else layout.batch or 1
        parts = [
            self._run(images[at : at + size], pixels, layout, size)
            for at in range(0, len(images), size)
        ]
        return {
            name: np.concatenate([part[name] for part in parts])
            for name in self.outputs
            if all(name in part for part in parts)
        }

    def _run(
        self, images: Images, pixels: Pixels, layout: Layout, size: int
    ) -> dict[str, NDArray[Any]]:
        count = len(images)
        if layout.batch and count < size:
            images = np.pad(images, ((0, size - count), (0, 0), (0, 0)))
        fed = pixels.array(images).astype(self.dtype)
        try:
            values = self._session.run(self.outputs, {self.input: layout.arrange(fed)})
        except Exception as error:  # whatever ONNX Runtime raises
            raise AdoptError(f"it does not run: {one_line(error)}") from error
        # Ten numbers an image, whatever axes of length 1 are about them.
        return {
            name: value.reshape(len(images), -1)[:count]
            for name, value in zip(self.outputs, values, strict=True)
            if value.size and value.size % len(images) == 0
        }


def one_line(error: BaseException) -> str:
    """An exception's text on one line, without the place in the runtime's source that it names."""
    text = " ".join(str(error).split()).removeprefix("[ONNXRuntimeError] : ")
    return PLACE.sub("", text)[:500]
