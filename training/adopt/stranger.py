"""Runs a stranger's model as it came, whatever its batch, on images in the form it wants."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from service.decode import Images
from training.adopt import AdoptError
from training.adopt.pixels import Pixels
from training.adopt.wishes import LAYOUTS

BATCH = 64
PLACE = re.compile(r"/onnxruntime_src/.*?\) (?=[A-Z])")
INPUTS = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
    TensorProto.INT16: "int16",
    TensorProto.UINT16: "uint16",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """The shape the model wants images in. ``image`` are the axes of one image, 784 pixels.

    Row-major pixels are the same bytes in each: only the shape differs. ``batch`` is how many
    images it takes at once: None for any number, 0 where it has no axis for more than one.
    """

    image: tuple[int, ...]
    batch: int | None

    def __str__(self) -> str:
        axes = [] if self.batch == 0 else ["n" if self.batch is None else str(self.batch)]
        return f"[{','.join([*axes, *map(str, self.image)])}]"


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
        shape = layout.image if layout.batch == 0 else (len(images), *layout.image)
        try:
            values = self._session.run(self.outputs, {self.input: fed.reshape(shape)})
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


def layouts(model: ModelProto) -> list[Layout]:
    """The layouts that fit the model's declared input, likelier ones first.

    Raises:
        AdoptError: none does.
    """
    kind = model.graph.input[0].type
    if not kind.HasField("tensor_type") or kind.tensor_type.elem_type not in INPUTS:
        raise AdoptError(f"its input is {_told(model)}, which no image can be fed to")
    if not kind.tensor_type.HasField("shape"):
        return [Layout(image, None) for image in LAYOUTS.values()]
    # A length that is 0, negative or a name is free.
    declared = [dim.dim_value if dim.dim_value > 0 else None for dim in kind.tensor_type.shape.dim]
    found = []
    if declared:
        batch, *image = declared
        known = [tuple(size for size in image if size), *LAYOUTS.values()]
        fitting = dict.fromkeys(one for one in known if _fits(image, one))
        found = [Layout(one, batch) for one in fitting]
    whole = tuple(size for size in declared if size)
    if not found and len(whole) == len(declared) and math.prod(whole) == 784:
        found = [Layout(whole, 0)]
    if not found:
        raise AdoptError(f"its input is {_told(model)}; no layout of 28 x 28 grey pixels fits it")
    return found


def _fits(declared: list[int | None], image: tuple[int, ...]) -> bool:
    """Whether an image's axes are those declared, free ones apart, and hold 784 pixels."""
    if len(declared) != len(image) or math.prod(image) != 784:
        return False
    return all(want in (None, size) for want, size in zip(declared, image, strict=True))


def _told(model: ModelProto) -> str:
    """The model's input as people write it."""
    kind = model.graph.input[0].type
    if not kind.HasField("tensor_type"):
        return "no tensor"
    sizes = [
        str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in kind.tensor_type.shape.dim
    ]
    name = helper.tensor_dtype_to_string(kind.tensor_type.elem_type).removeprefix("TensorProto.")
    return f"{name.lower()} [{', '.join(sizes)}]"
