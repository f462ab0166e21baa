"""``ModelInfer``: classifies images that come as tensors of the Open Inference Protocol.

The calls of a client differ in their pixels alone, which are the end of a message. What stands
before them is read once, and its plan is kept by its bytes.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from service.answer.predictions import classification
from service.api.pipeline import Pipeline
from service.api.request import Request
from service.api.routing import check_model
from service.background.large_work import SMALL_BYTES
from service.decode.v2 import InferRequest, from_content, whole_bytes
from service.decode.validation import check_pixels, refuse
from service.rpc.gathering import Gathering
from service.rpc.messages import message, parameters, varint
from service.types import INPUT, OUTPUT, PIXELS, SIDE, Images, Limits, Probabilities

_Request = message("inference.ModelInferRequest")
_Response = message("inference.ModelInferResponse")
_RAW_INPUT, _RAW_OUTPUT = b"\x3a", b"\x32"
"""The tags of fields 7 and 6, the raw contents: a length and bytes follow."""
_MOST_PLANS, _MOST_PLAN_BYTES = 256, 512
_NONE = np.empty((0, SIDE, SIDE), np.uint8)


@dataclass(slots=True)
class Plan:
    """What a message says but for its pixels, and the beginning of its answers by version."""

    asked: InferRequest
    version: str | None
    heads: dict[str, bytes] = field(default_factory=dict)


class Infer:
    """Answers ``ModelInfer`` for one worker."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._gathering = Gathering()
        self._plans = dict[bytes, Plan]()

    async def __call__(self, request: Request, body: bytes) -> bytes:
        """Classifies images: tensor ``image``, UINT8 [n, 28, 28], to FP32 [n, 10].

        ``body`` is a serialised message, and so is the answer.
        """
        pipeline = Pipeline(request)
        images, plan = await pipeline.decode(len(body) <= SMALL_BYTES, self._read, body)
        timeout_s = plan.asked.timeout_s
        if timeout_s is not None:
            pipeline.deadline = min(pipeline.deadline, request.started + timeout_s)
        await self._gathering.join(request)
        await pipeline.choose(plan.version)
        result = await pipeline.infer(images)
        version = pipeline.served.version
        answer = await pipeline.answer(result.rows, _answer, version, result.probabilities, plan)
        pipeline.follow_up(result)
        return answer

    def _read(self, body: bytes) -> tuple[Images, Plan]:
        rows = len(body) // PIXELS
        start = len(body) - rows * PIXELS  # if the pixels are raw
        plan = self._plans.get(body[:start]) if start <= _MOST_PLAN_BYTES else None
        if plan is None:
            asked, plan = _read_whole(body, self._limits)
            if _is_before_pixels(body[:start], rows):
                if len(self._plans) == _MOST_PLANS:
                    self._plans.clear()
                self._plans[body[:start]] = plan
            return asked, plan
        pixels = np.frombuffer(body, np.uint8, offset=start).reshape(rows, SIDE, SIDE)
        if rows == 1 and body[start:].strip(b"\0\1"):
            return pixels, plan  # as check_pixels finds for more images, in a tenth of its time
        return check_pixels(pixels, INPUT), plan


def _is_before_pixels(before: bytes, rows: int) -> bool:
    """Whether ``before`` is a message without raw contents and the beginning of the latter.

    Fields follow each other in a message, so that any pixels make a message with it.
    """
    opening = _RAW_INPUT + varint(rows * PIXELS)
    if not rows or len(before) > _MOST_PLAN_BYTES or not before.endswith(opening):
        return False
    try:
        return not _Request.FromString(before[: -len(opening)]).raw_input_contents
    except DecodeError:
        return False


def _read_whole(body: bytes, limits: Limits) -> tuple[Images, Plan]:
    message = _Request.FromString(body)
    check_model(message.model_name)
    content: dict[str, Any] = {
        "id": message.id or None,
        "parameters": parameters(message),
        "inputs": [_tensor(each) for each in message.inputs],
    }
    if message.outputs:
        content["outputs"] = [
            {"name": each.name, "parameters": parameters(each)} for each in message.outputs
        ]
    raw = list(message.raw_input_contents)
    if raw and len(raw) != len(message.inputs):
        raise refuse("raw_input_contents", "one for each of the inputs is expected, or none")
    for index, (tensor, sent) in enumerate(zip(content["inputs"], message.inputs, strict=True)):
        if raw:
            tensor["parameters"]["binary_data_size"] = len(raw[index])
        else:
            tensor["data"] = sent.contents
    tail = memoryview(raw[-1] if raw else b"")
    asked = from_content(content, tail, limits, _numbers)
    images, asked.images = asked.images, _NONE
    return images, Plan(asked, message.model_version or None)


def _tensor(tensor: Any) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": list(tensor.shape),
        "parameters": parameters(tensor),
    }


def _numbers(contents: Any) -> NDArray[np.uint8]:
    """The numbers of ``contents``, whichever of its lists of numbers has them."""
    lists = [(field.name, list(values)) for field, values in contents.ListFields()]
    if len(lists) > 1 or any(name in ("bool_contents", "bytes_contents") for name, _ in lists):
        raise refuse(INPUT, "contents: one list of numbers is expected, such as uint_contents")
    return whole_bytes(np.array(lists[0][1] if lists else []), lists[0][0] if lists else "contents")


def _answer(version: str, probabilities: Probabilities, plan: Plan) -> bytes:
    head = plan.heads.get(version) or _head(version, len(probabilities), plan)
    if plan.asked.classes:
        labels = [label.encode() for label in classification(probabilities, plan.asked.classes)]
        data = b"".join(len(label).to_bytes(4, "little") + label for label in labels)
    else:
        data = probabilities.tobytes()
    return b"%b%b%b%b" % (head, _RAW_OUTPUT, varint(len(data)), data)


def _head(version: str, rows: int, plan: Plan) -> bytes:
    classes = plan.asked.classes
    shape, datatype = ((rows, classes), "BYTES") if classes else ((rows, 10), "FP32")
    output = {"name": OUTPUT, "datatype": datatype, "shape": shape}
    answer = _Response(
        model_name="mnist", model_version=version, id=plan.asked.id or "", outputs=(output,)
    )
    plan.heads[version] = head = bytes(answer.SerializeToString())
    return head
