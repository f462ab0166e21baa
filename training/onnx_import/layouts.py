"""The shapes in which classifiers take images, and which of them fit a model's declared input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from training.onnx_import import AdoptError
from training.onnx_import.options import LAYOUTS
from training.onnx_import.pixels import Chain

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
LARGEST_SIDE = 256
COLOURS = 3


@dataclass(frozen=True, slots=True)
class Layout:
    """The shape a model wants images in.

    ``image`` are the axes of one image: its pixels row by row, in any shape, or with an axis for
    three colours, first or last. ``batch`` is how many images it takes at once: None for any
    number, 0 where it has no axis for more than one.
    """

    image: tuple[int, ...]
    batch: int | None

    def __str__(self) -> str:
        axes = [] if self.batch == 0 else ["n" if self.batch is None else str(self.batch)]
        return f"[{','.join([*axes, *map(str, self.image)])}]"

    @property
    def colour_axis(self) -> int | None:
        """Where in ``image`` the colours are; None for grey."""
        if len(self.image) != 3:
            return None
        return next((axis for axis in (0, 2) if self.image[axis] == COLOURS), None)

    @property
    def side(self) -> int:
        """How many pixels wide and high the image is."""
        return math.isqrt(math.prod(self.image) // (1 if self.colour_axis is None else COLOURS))

    @property
    def kind(self) -> str | None:
        """Its name in :data:`LAYOUTS`; None where it has none."""
        side = self.side
        names: dict[tuple[int, ...], str] = {(side, side): "rows", (side * side,): "flat"}
        for channels in (1, COLOURS):
            names[channels, side, side] = "NCHW"
            names[side, side, channels] = "NHWC"
        return names.get(self.image)

    def arrange(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Pixels (n, side, side) in this shape: (n, *image), for no batch axis (*image)."""
        if (axis := self.colour_axis) is not None:
            pixels = np.repeat(np.expand_dims(pixels, axis + 1), COLOURS, axis + 1)
        return pixels.reshape(self.image if self.batch == 0 else (len(pixels), *self.image))

    def nodes(self, chain: Chain, count: int | None) -> None:
        """Adds the same to a chain of nodes, for ``count`` images, None being any number."""
        grey = list(self.image)
        if (axis := self.colour_axis) is not None:
            grey[axis] = 1
        batch = [] if self.batch == 0 else [count or -1]
        chain.add("Reshape", chain.end, chain.constant([*batch, *grey]))
        if axis is not None:
            chain.add("Concat", *[chain.end] * COLOURS, axis=axis + len(batch))


def layouts(model: ModelProto) -> list[Layout]:
    """The layouts that fit the model's declared input, likelier ones first.

    Raises:
        AdoptError: none does.
    """
    kind = model.graph.input[0].type
    if not kind.HasField("tensor_type") or kind.tensor_type.elem_type not in INPUTS:
        raise AdoptError(f"its input is {_told(model)}, which no image can be fed to")
    if not kind.tensor_type.HasField("shape"):
        return [Layout(image, None) for image in _likely()]
    # A length that is 0, negative or a name is free.
    declared = [dim.dim_value if dim.dim_value > 0 else None for dim in kind.tensor_type.shape.dim]
    whole = tuple(size for size in declared if size)
    found = []
    if declared:
        batch, *image = declared
        likely = dict.fromkeys([tuple(size for size in image if size), *_likely()])
        found = [Layout(one, batch) for one in likely if _fits(image, one)]
    if not found and len(whole) == len(declared) and _holds_an_image(whole):
        found = [Layout(whole, 0)]
    if not found:
        raise AdoptError(f"its input is {_told(model)}; no layout of digits fits it")
    return found


def _likely() -> Iterator[tuple[int, ...]]:
    """What an input may be that does not say its lengths."""
    yield from LAYOUTS.values()
    yield from ((1, 32, 32), (32, 32, 1), (COLOURS, 28, 28), (28, 28, COLOURS))


def _fits(declared: Sequence[int | None], image: tuple[int, ...]) -> bool:
    """Whether these are an image's axes, and those declared but for the free ones."""
    if len(declared) != len(image) or not _holds_an_image(image):
        return False
    return all(want in (None, size) for want, size in zip(declared, image, strict=True))


def _holds_an_image(image: tuple[int, ...]) -> bool:
    """28 x 28 pixels in any shape, or a larger square in a usual one."""
    layout = Layout(image, None)
    usual = layout.kind is not None and 28 <= layout.side <= LARGEST_SIDE
    return usual or math.prod(image) == 784


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
