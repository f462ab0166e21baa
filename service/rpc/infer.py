"""``ModelInfer``, and its stream: classifies tensors of the Open Inference Protocol.

The calls of a client differ in their pixels alone, which are the end of a message. What stands
before them is read once, and its plan is kept by its bytes.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from service.answer.predictions import bytes_elements, classification
from service.api.pipeline import Pipeline
from service.api.request import Request
from service.api.routing import check_model
from service.background.large_work import SMALL_BYTES
from service.decode.v2 import InferRequest, from_content, whole_bytes
from service.decode.validation import check_pixels, refuse
from service.errors import Fault, Unavailable
from service.models.repository import NAME
from service.rpc.calls import Calls
from service.rpc.messages import message, parameters, varint
from service.types import INPUT, OUTPUT, PIXELS, SIDE, Images, Limits, Probabilities

MOST_UNDER_WAY = 32
"""Messages of one stream that are read and not answered; more stay with the sender."""
TURNS = 5  # turns of the event loop without another call, after which those that wait go on
PROBE_EVERY = 16
MOST_CALLS = 64
_ALONE = (None,)  # what is under way when a call is alone: itself
_Request, _Response, _StreamResponse = (
    message(f"inference.Model{kind}")
    for kind in ("InferRequest", "InferResponse", "StreamInferResponse")
)
_RAW_INPUT, _RAW_OUTPUT, _RESULT = b"\x3a", b"\x32", b"\x12"
"""The tags of the raw contents, fields 7 and 6, and of a stream's result: a length follows."""
_MOST_PLANS, _MOST_PLAN_BYTES = 256, 512
_NONE = np.empty((0, SIDE, SIDE), np.uint8)


@dataclass(slots=True)
class Plan:
    """What a message says but for its pixels, and the beginning of its answers by version."""

    asked: InferRequest
    version: str | None
    heads: dict[str, bytes] = field(default_factory=dict)


class Infer:
    """Answers ``ModelInfer`` and ``ModelStreamInfer`` for one worker."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._gathering = Gathering()
        self._plans = dict[bytes, Plan]()

    async def one(self, request: Request, body: bytes) -> bytes:
        """Classifies the images of a serialised message: UINT8 [n, 28, 28] to FP32 [n, 10]."""
        pipeline = Pipeline(request)
        images, plan = await pipeline.decode(len(body) <= SMALL_BYTES, self._read, body)
        if plan.asked.timeout_s is not None:
            pipeline.deadline = min(pipeline.deadline, request.started + plan.asked.timeout_s)
        await self._gathering.join(request)
        await pipeline.choose(plan.version)
        result = await pipeline.infer(images)
        version = pipeline.served.version
        answer = await pipeline.answer(result.rows, _answer, version, result.probabilities, plan)
        pipeline.follow_up(result)
        return answer

    async def stream(self, request: Request, bodies: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Answers each message, in order, as a request of its own, or with its fault.

        When the service stops, this answers what it has read, and raises Unavailable.
        """
        request.fields.pop(b"x-request-timeout-ms", None)  # gRPC's deadline is the whole stream's
        answers = asyncio.Queue[asyncio.Task[bytes] | None]()
        room = asyncio.Semaphore(MOST_UNDER_WAY - 1)

        async def read() -> None:
            try:
                async for body in bodies:
                    answers.put_nowait(asyncio.create_task(self._one_of(request, body)))
                    await room.acquire()
            finally:
                answers.put_nowait(None)

        reading = asyncio.create_task(read())
        closing = asyncio.create_task(self._calls.closing.wait())
        closing.add_done_callback(lambda _: reading.cancel())
        try:
            while (answer := await answers.get()) is not None:
                yield await answer
                room.release()
            await asyncio.wait((reading,))
            if reading.cancelled():
                raise Unavailable("the service stops; open another stream")
            reading.result()
        finally:
            closing.cancel()
            while not answers.empty():
                if (unanswered := answers.get_nowait()) is not None:
                    unanswered.cancel()

    async def _one_of(self, stream: Request, body: bytes) -> bytes:
        request = self._calls.request(stream.path, stream.fields, stream.address)

        async def call(request: Request, body: bytes) -> bytes:
            result = await self.one(request, body)
            return _RESULT + varint(len(result)) + result

        async def tell(fault: Fault) -> bytes:
            try:
                name = _Request.FromString(body).id  # it tells the caller whose error it is
            except DecodeError:
                name = ""
            answer = _StreamResponse(error_message=fault.detail, infer_response={"id": name})
            return bytes(answer.SerializeToString())

        return await self._calls.answer(request, body, call, tell)

    def _read(self, body: bytes) -> tuple[Images, Plan]:
        rows = len(body) // PIXELS
        start = len(body) - rows * PIXELS  # if the pixels are raw
        before = body[:start]
        plan = self._plans.get(before)
        if plan is None:
            images, plan = _read_whole(body, self._calls.core.limits)
            if _is_before_pixels(before, rows):
                if len(self._plans) == _MOST_PLANS:
                    self._plans.clear()
                self._plans[before] = plan
            return images, plan
        pixels = np.frombuffer(body, np.uint8, offset=start).reshape(rows, SIDE, SIDE)
        if rows == 1 and body[start:].strip(b"\0\1"):
            return pixels, plan  # as check_pixels finds for more images, in a tenth of its time
        return check_pixels(pixels, INPUT), plan


class Gathering:
    """Lets calls of one worker wait for each other, so that one execution serves many.

    gRPC hands over one event a turn of the event loop, so that each call would be executed alone.
    While calls overlap, they wait until none has joined for a few turns. To notice that they do,
    one of several calls that seem alone waits too. There is no timer.
    """

    def __init__(self) -> None:
        self._waiting = list[asyncio.Future[None]]()
        self._crowded = 0  # gatherings to come even if no calls meet
        self._alone = 0

    async def join(self, request: Request) -> None:
        """Waits for other calls, or lets ``request`` be executed alone."""
        if not self._crowded and not self._waiting:
            self._alone += 1
            if self._alone % PROBE_EVERY:
                request.under_way = _ALONE
                return
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._turn, loop, 0, 0)
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _turn(self, loop: asyncio.AbstractEventLoop, before: int, quiet: int) -> None:
        joined = len(self._waiting)
        quiet = 0 if joined > before else quiet + 1
        if quiet < TURNS and joined < MOST_CALLS:
            loop.call_soon(self._turn, loop, joined, quiet)
            return
        self._crowded = MOST_CALLS if joined > 1 else max(0, self._crowded - 1)
        for turn in self._waiting:
            if not turn.done():  # its caller left
                turn.set_result(None)
        self._waiting.clear()


def _is_before_pixels(before: bytes, rows: int) -> bool:
    """Whether ``before`` is a message without raw contents, and their tag and length.

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
    raw = list(message.raw_input_contents)
    if raw and len(raw) != len(message.inputs):
        raise refuse("raw_input_contents", "one for each of the inputs is expected, or none")
    outputs = [{"name": each.name, "parameters": parameters(each)} for each in message.outputs]
    content: dict[str, Any] = {
        "id": message.id or None,
        "parameters": parameters(message),
        "inputs": [_tensor(sent, raw[n] if raw else None) for n, sent in enumerate(message.inputs)],
        "outputs": outputs,
    }
    asked = from_content(content, memoryview(raw[-1] if raw else b""), limits, _numbers)
    images, asked.images = asked.images, _NONE
    return images, Plan(asked, message.model_version or None)


def _tensor(tensor: Any, raw: bytes | None) -> dict[str, Any]:
    found = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if raw is None:
        return {**found, "parameters": parameters(tensor), "data": tensor.contents}
    return {**found, "parameters": {**parameters(tensor), "binary_data_size": len(raw)}}


def _numbers(contents: Any) -> NDArray[np.uint8]:
    lists = [(field.name, list(values)) for field, values in contents.ListFields()]
    if len(lists) > 1 or any(name in ("bool_contents", "bytes_contents") for name, _ in lists):
        raise refuse(INPUT, "contents: one list of numbers is expected, such as uint_contents")
    return whole_bytes(np.array(lists[0][1] if lists else []), lists[0][0] if lists else "contents")


def _answer(version: str, probabilities: Probabilities, plan: Plan) -> bytes:
    classes, head = plan.asked.classes, plan.heads.get(version)
    if head is None:
        shape = len(probabilities), classes or 10
        output = {"name": OUTPUT, "datatype": "BYTES" if classes else "FP32", "shape": shape}
        name = plan.asked.id or ""
        answer = _Response(model_name=NAME, model_version=version, id=name, outputs=(output,))
        plan.heads[version] = head = bytes(answer.SerializeToString())
    if classes:
        data = bytes_elements(classification(probabilities, classes))
    else:
        data = probabilities.tobytes()
    return b"%b%b%b%b" % (head, _RAW_OUTPUT, varint(len(data)), data)
