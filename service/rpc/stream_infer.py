"""``ModelStreamInfer``: ``ModelInfer`` for each message of a stream, with the answers in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from google.protobuf.message import DecodeError

from service.api.request import Request
from service.errors import Unavailable
from service.rpc.calls import Calls
from service.rpc.infer import Infer
from service.rpc.messages import message, varint

MOST_UNDER_WAY = 32
"""Messages of one stream that are read and not answered; more stay with the sender."""
_RESPONSE = b"\x12"  # the tag of field 2, the result of a message
_Asked = message("inference.ModelInferRequest")
_Answer = message("inference.ModelStreamInferResponse")


class StreamInfer:
    """Answers the streams of one worker. Each message is a request of its own, also in the log."""

    def __init__(self, calls: Calls, infer: Infer) -> None:
        self._calls, self._infer = calls, infer

    async def __call__(
        self, request: Request, bodies: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Answers each message; a fault is the answer to its message alone.

        When the service stops, it answers what it has read, and raises Unavailable.
        """
        request.fields.pop(b"x-request-timeout-ms", None)  # gRPC's deadline is the whole stream's
        answers = asyncio.Queue[asyncio.Task[bytes] | None]()
        room = asyncio.Semaphore(MOST_UNDER_WAY - 1)

        async def read() -> None:
            try:
                async for body in bodies:
                    answers.put_nowait(asyncio.create_task(self._one(request, body)))
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

    async def _one(self, stream: Request, body: bytes) -> bytes:
        """The answer to one message: its result, or its error."""
        calls, status, answer = self._calls, 200, b""
        request = calls.request(stream.path, stream.fields, stream.address)
        request.caller, request.key = stream.caller, stream.key
        try:
            request.receive(body)
            result = await self._infer(request, body)
            answer = _RESPONSE + varint(len(result)) + result
        except asyncio.CancelledError:
            status = 499
            raise
        except Exception as error:  # noqa: BLE001 - a bug too is the answer to its message alone
            fault = calls.fault(error, request)
            status = fault.status
            error_answer = _Answer(error_message=fault.detail, infer_response={"id": _id(body)})
            answer = error_answer.SerializeToString()
        finally:
            calls.end(request, status, len(answer))
        return answer


def _id(body: bytes) -> str:
    """The id in a message, which tells the caller whose error it is."""
    try:
        return str(_Asked.FromString(body).id)
    except DecodeError:
        return ""
