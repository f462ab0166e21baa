"""The forms in which classifiers want the pixels: each as an array and as ONNX nodes.

Both are given by one class, so that what was measured and what is published are the same sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from service.types import Images
from training.onnx_import.options import INKS, Scale, Size

# Below it an image is flat; as in TensorFlow's tf.image.per_image_standardization: 1/sqrt(784).
LEAST_DEVIATION = 1 / 28


@dataclass(frozen=True, slots=True)
class Pixels:
    """A size, a scale, and whether the ink is dark: 255 - pixel comes before the scale then."""

    scale: Scale
    inverted: bool
    size: Size = "kept"
    side: int = 28

    @property
    def ink(self) -> str:
        """What the digits look like to the model."""
        return INKS[self.inverted]

    def array(self, images: Images) -> NDArray[np.float32]:
        """Images (n, 28, 28) uint8 as the model wants the pixels: (n, side, side) float32."""
        pixels: NDArray[np.float32] = images.astype(np.float32)
        if self.size != "kept":
            matrix = resizing(self.size, self.side)
            pixels = np.matmul(np.matmul(matrix, pixels), matrix.T, dtype=np.float32)
        if self.inverted:
            pixels = np.float32(255) - pixels
        if self.scale.divisor != 1:
            pixels = pixels / np.float32(self.scale.divisor)
        if self.scale.mean is None:
            pixels = pixels - pixels.mean(axis=(1, 2), keepdims=True)
            deviation = np.sqrt(np.square(pixels).mean(axis=(1, 2), keepdims=True))
            pixels = pixels / np.maximum(deviation, np.float32(LEAST_DEVIATION))
        elif self.scale.mean:
            pixels = pixels - np.float32(self.scale.mean)
        if self.scale.deviation not in (None, 1):
            pixels = pixels / np.float32(self.scale.deviation)
        return pixels

    def nodes(self, chain: Chain) -> None:
        """Adds the same to a chain of nodes that begins with float32 [batch, 28, 28]."""
        if self.size != "kept":
            matrix = resizing(self.size, self.side)
            chain.add("MatMul", chain.floats(matrix), chain.end)
            chain.add("MatMul", chain.end, chain.floats(matrix.T))
        if self.inverted:
            chain.add("Sub", chain.constant(255), chain.end)
        if self.scale.divisor != 1:
            chain.add("Div", chain.end, chain.constant(self.scale.divisor))
        if self.scale.mean is None:
            centred = chain.add("Sub", chain.end, chain.mean(chain.end, [1, 2]))
            chain.add("Mul", centred, centred)
            deviation = chain.add("Sqrt", chain.mean(chain.end, [1, 2]))
            # max(d, least), in operators whose form is the same in every operator set.
            chain.add("Sub", deviation, chain.constant(LEAST_DEVIATION))
            chain.add("Add", chain.add("Relu", chain.end), chain.constant(LEAST_DEVIATION))
            chain.add("Div", centred, chain.end)
            return
        if self.scale.mean:
            chain.add("Sub", chain.end, chain.constant(self.scale.mean))
        if self.scale.deviation not in (None, 1):
            chain.add("Div", chain.end, chain.constant(self.scale.deviation))


def resizing(size: Size, side: int) -> NDArray[np.float32]:
    """A matrix (side, 28): matrix @ image @ matrix.T is the image padded or resized.

    Padding centres it; resizing is bilinear with pixels as areas, as Pillow, OpenCV and ONNX's
    ``half_pixel`` do it when they enlarge.
    """
    matrix: NDArray[np.float32]
    if size == "padded":
        matrix = np.eye(side, 28, (28 - side) // 2, dtype=np.float32)
    else:
        at = np.clip((np.arange(side) + 0.5) * 28 / side - 0.5, 0, 27)
        matrix = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(28))).astype(np.float32)
    return matrix


class Chain:
    """Nodes one after the other, of an operator set's version, with the constants they need.

    ``end`` is the name of the last node's output. All names begin with ``prefix``.
    """

    def __init__(self, start: str, opset: int, prefix: str) -> None:
        self.end, self.opset, self.prefix = start, opset, prefix
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Adds a node and gives the name of its output, the new end."""
        self.end = output or f"{self.prefix}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [self.end], **attributes))
        return self.end

    def constant(self, value: float | Sequence[int]) -> str:
        """A float32 number, or int64 numbers, as an input of nodes."""
        if isinstance(value, int | float):
            return self.floats(value)
        return self._hold(np.array(value, np.int64))

    def floats(self, values: Any) -> str:
        """Float32 numbers as an input of nodes."""
        return self._hold(np.ascontiguousarray(values, np.float32))

    def mean(self, of: str, axes: Sequence[int]) -> str:
        """Adds the mean over ``axes``, which stay with length 1."""
        return self._reduce("ReduceMean", of, axes, since=18)

    def sum(self, of: str, axes: Sequence[int]) -> str:
        """Adds the sum over ``axes``, which stay with length 1."""
        return self._reduce("ReduceSum", of, axes, since=13)

    def _hold(self, array: NDArray[Any]) -> str:
        name = f"{self.prefix}constant_{len(self.constants)}"
        self.constants[name] = array
        return name

    def _reduce(self, operator: str, of: str, axes: Sequence[int], since: int) -> str:
        """The axes were an attribute first and are an input ``since`` a version."""
        if self.opset < since:
            return self.add(operator, of, axes=list(axes), keepdims=1)
        return self.add(operator, of, self.constant(axes), keepdims=1)
