"""Shows what each convolution of a version makes of an image, from the version's own file."""

import base64
import re
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.imaging.load import encode_png
from service.inference.runtime import RuntimeLoadError, open_session
from service.reasons.shapley import Image
from service.types import INPUT, OUTPUT

_MOST_LAYERS, _MOST_MAPS, _MOST_SIDE = 32, 64, 56
"""Of more the first are shown; a larger map is thinned out."""
_MESSAGES: dict[str, list[tuple[str, int, str]]] = {
    "Model": [("graph", 7, "Graph")],
    "Graph": [("node", 1, "Node"), ("output", 12, "Output")],
    "Node": [("input", 1, ""), ("output", 2, ""), ("op_type", 4, "")],
    "Output": [("name", 1, "")],
}
"""What is read of ``onnx.proto`` (github.com/onnx/onnx): fields of a message, or else of text."""
_AFTER = re.compile(
    "(Deq|Q)uantizeLinear|BatchNormalization|(Leaky|P)?Relu|[ES]elu|Clip|(Hard)?Sigmoid|Tanh"
    "|HardSwish|Gelu|Mish|Softplus"
).fullmatch
"""What follows a convolution and belongs to its maps."""


class Layers:
    """A version whose maps are outputs, too; any number of threads may ask it."""

    def __init__(self, model: bytes) -> None:
        """Loads a model file. Raises :class:`RuntimeLoadError` if it cannot be run like this."""
        from google.protobuf.message import DecodeError  # which ONNX Runtime brings along

        try:
            parsed = _model_class().FromString(model)
            self._places = _places(parsed.graph[0].node)[:_MOST_LAYERS]
        except (DecodeError, IndexError) as error:
            raise RuntimeLoadError(f"its graph cannot be read: {error}") from error
        names = dict.fromkeys(name for place in self._places for name in place)
        for name in names:
            parsed.graph[0].output.add(name=[name])
        self._session, _ = open_session(parsed.SerializeToString(), "cpu")
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
    count, height, width = values.shape
    step = -(-max(height, width) // _MOST_SIDE)
    low, high = min(0.0, float(values.min())), float(values.max())
    grey = (values[:_MOST_MAPS, ::step, ::step] - low) * (255 / max(high - low, 1e-9))
    png = encode_png(np.rint(grey).astype(np.uint8).reshape(-1, grey.shape[2]))
    told = {"maps": count, "shown": len(grey), "height": height, "width": width}
    told |= {"low": low, "high": high, "levels": len(np.unique(values))}
    int8 = {"scale": scale, "zero_point": int(zero)} if rounding else None
    return told | {"rounding": int8, "png": base64.b64encode(png).decode()}


def _model_class() -> Any:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass

    file, pool = FileDescriptorProto(name="a", package="a"), DescriptorPool()
    for message, fields in _MESSAGES.items():
        made = file.message_type.add(name=message)
        for name, number, of in fields:
            kind = Field.TYPE_MESSAGE if of else Field.TYPE_STRING
            field = made.field.add(name=name, number=number, label=Field.LABEL_REPEATED, type=kind)
            if of:
                field.type_name = f".a.{of}"
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("a.Model"))


def _places(nodes: Any) -> list[list[str]]:
    """The value that holds the maps of each convolution, its scale and its zero point if any."""
    uses = Counter(name for node in nodes for name in node.input)
    places: dict[str, list[str]] = {}
    for node in nodes:
        kind, inputs, outputs = node.op_type[0], list(node.input), list(node.output)
        if kind in ("Conv", "QLinearConv"):
            places[outputs[0]] = inputs[6:8]  # a Conv has fewer
        elif _AFTER(kind) and inputs[0] in places and uses[inputs[0]] == 1:
            rounding = places.pop(inputs[0])
            places[outputs[0]] = inputs[1:3] if "uantize" in kind else rounding
    return [[maps, *filter(None, rounding)] for maps, rounding in places.items()]
