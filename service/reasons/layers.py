"""Shows what each convolution of a version makes of an image, from the version's own file.

An ONNX file is a protobuf message, read here by its wire format
(https://protobuf.dev/programming-guides/encoding/) and the field numbers of ``onnx.proto``
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). A parser merges all occurrences of one
message and joins their repeated fields, so a second, small ``graph`` after the file adds outputs.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.imaging.preview import encode_png
from service.inference.runtime import RuntimeLoadError, open_session
from service.reasons.shapley import Image
from service.types import INPUT, OUTPUT

_MOST_LAYERS, _MOST_MAPS, _MOST_SIDE = 32, 64, 56
"""Of more the first are shown; a larger map is thinned out."""
_GRAPH, _NODE, _OUTPUT = 7, 1, 12
_AFTER = re.compile(
    "(Deq|Q)uantizeLinear|BatchNormalization|(Leaky|P)?Relu|[ES]elu|Clip|(Hard)?Sigmoid|Tanh"
    "|HardSwish|Gelu|Mish|Softplus"
).fullmatch
"""What follows a convolution and belongs to its maps."""


class Layers:
    """A version whose maps are outputs, too; any number of threads may ask it."""

    def __init__(self, model: bytes) -> None:
        """Loads a model file. Raises :class:`RuntimeLoadError` if it cannot be run like this."""
        try:
            self._places = _places(memoryview(model))[:_MOST_LAYERS]
        except (ValueError, IndexError) as error:
            raise RuntimeLoadError(f"its graph cannot be read: {error}") from error
        names = dict.fromkeys(name for place in self._places for name in place)
        added = b"".join(_field(_OUTPUT, _field(1, name.encode())) for name in names)
        self._session, _ = open_session(model + _field(_GRAPH, added), "cpu")
        self._names = [OUTPUT, *names]

    def ask(self, image: Image) -> dict[str, Any]:
        """The digit of an image (28, 28), and the maps of each layer. Raises as the load does."""
        try:
            values = self._session.run(self._names, {INPUT: image[None]})
        except Exception as error:
            raise RuntimeLoadError("a run with its maps as outputs failed") from error
        found = dict(zip(self._names, values, strict=True))
        layers = [[found[name] for name in place] for place in self._places]
        digit = int(found[OUTPUT][0].argmax())
        shown = [_shown(*layer) for layer in layers if layer[0].ndim == 4]
        return {"digit": digit, "confidence": found[OUTPUT][0, digit], "layers": shown}


def _shown(maps: NDArray[Any], *rounding: NDArray[Any]) -> dict[str, Any]:
    """The maps (1, n, h, w) as one grey picture, and the ``rounding`` that made them int8."""
    scale, zero = ([float(each.max()) for each in rounding] + [0.0, 0.0])[:2]
    values = maps[0].astype(np.float32)
    if maps.dtype.kind in "iu":
        values = (values - np.float32(zero)) * np.float32(scale)
    step = -(-max(values.shape[1:]) // _MOST_SIDE)
    low, high = min(0.0, float(values.min())), float(values.max())
    grey = (values[:_MOST_MAPS, ::step, ::step] - low) * (255 / max(high - low, 1e-9))
    png = encode_png(np.rint(grey).astype(np.uint8).reshape(-1, grey.shape[2]))
    height, width = values.shape[1:]
    return {"maps": len(values), "shown": len(grey), "height": height, "width": width} | {
        "low": low,
        "high": high,
        "levels": len(np.unique(values)),
        "rounding": {"scale": scale, "zero_point": int(zero)} if rounding else None,
        "png": base64.b64encode(png).decode(),
    }


def _places(model: memoryview) -> list[list[str]]:
    """The value that holds the maps of each convolution, its scale and its zero point if any."""
    nodes = [
        [[str(name, "utf-8") for name in _parts(node, number)] for number in (4, 1, 2)]
        for graph in _parts(model, _GRAPH)
        for node in _parts(graph, _NODE)
    ]
    uses = Counter(name for _, inputs, _ in nodes for name in inputs)
    places: dict[str, list[str]] = {}
    for (kind,), inputs, outputs in nodes:
        if kind in ("Conv", "QLinearConv"):
            places[outputs[0]] = inputs[6:8]  # a Conv has fewer
        elif _AFTER(kind) and inputs[0] in places and uses[inputs[0]] == 1:
            rounding = places.pop(inputs[0])
            places[outputs[0]] = inputs[1:3] if "uantize" in kind else rounding
    return [[maps, *filter(None, rounding)] for maps, rounding in places.items()]


def _parts(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The occurrences of a field that holds bytes. Raises IndexError if the message is cut off."""
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        size = {1: 8, 5: 4}.get(key & 7, 0)
        if key & 7 in (0, 2):
            value, at = _number(message, at)
            size = value if key & 7 == 2 else 0
        if key == wanted << 3 | 2:
            yield message[at : at + size]
        at += size


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """The whole number at this place, seven bits a byte, and the place after it."""
    end = at
    while message[end] > 127:
        end += 1
    return sum((message[i] & 127) << 7 * (i - at) for i in range(at, end + 1)), end + 1


def _field(number: int, content: bytes) -> bytes:
    size, head = len(content), [number << 3 | 2]
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, size]) + content
