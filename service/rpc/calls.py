"""One call of gRPC: its request, its status code, its metrics and its log line."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError

from service.api.request import Request
from service.core import Core
from service.errors import Fault, Malformed
from service.observe.logs import LOGGER
from service.rpc import METHODS
from service.rpc.messages import message

Call = Callable[[Request, bytes], Awaitable[bytes]]
Converse = Callable[[Request, AsyncIterator[bytes]], AsyncIterator[bytes]]
"""Answers a serialised message, and those of a stream, or raises a fault."""
Record = Callable[[Request, int, float, int], object]
"""Counts and logs one request with the status that HTTP has for it and its answer's bytes."""

_CODES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_Status, _RetryInfo = message("google.rpc.Status"), message("google.rpc.RetryInfo")


class Calls:
    """The calls of one worker."""

    def __init__(self, core: Core, record: Record) -> None:
        self.core = core
        self.closing = asyncio.Event()  # set when the service stops: streams end
        self._record = record

    def unary(self, path: str, call: Call) -> grpc.RpcMethodHandler:
        """The handler of a method that takes and gives one message."""

        async def handle(body: bytes, context: Any) -> bytes:
            request = self._asked(path, context)
            abort = partial(_abort, context, request)
            return await self.answer(request, body, call, abort, context.time_remaining)

        return grpc.unary_unary_rpc_method_handler(handle)

    def stream(self, path: str, converse: Converse) -> grpc.RpcMethodHandler:
        """The handler of a stream; ``converse`` counts what it answers, this only a fault."""

        async def handle(bodies: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            request = self._asked(path, context)
            try:
                self._admit(request)
                async for message in converse(request, bodies):
                    yield message
            except Exception as error:  # noqa: BLE001 - a bug too gets a code, and the log
                fault = self._fault(error, request)
                self._end(request, fault.status, 0)
                await _abort(context, request, fault)

        return grpc.stream_stream_rpc_method_handler(handle)

    async def answer(
        self,
        request: Request,
        body: bytes,
        call: Call,
        tell: Callable[[Fault], Awaitable[bytes]],
        remaining: Callable[[], float | None] = lambda: None,
    ) -> bytes:
        """What ``call`` answers, or what ``tell`` makes of its fault; counts and logs the call."""
        status, answer = 200, b""
        try:
            self._admit(request)
            request.receive(body)
            answer = await call(request, body)
        except asyncio.CancelledError:
            left_s = remaining()
            status = 499 if left_s is None or left_s > 0 else 504
            raise
        except Exception as error:  # noqa: BLE001 - a bug too gets a code, and the log
            fault = self._fault(error, request)
            status = fault.status
            answer = await tell(fault)
        finally:
            self._end(request, status, len(answer))
        return answer

    def request(self, path: str, fields: dict[bytes, bytes], address: str) -> Request:
        """A request with this metadata."""
        request = Request(self.core, "POST", path, fields, Message(), address=address)
        request.route = path
        return request

    def _end(self, request: Request, status: int, sent: int) -> None:
        if request.held_bytes:
            request.release()
        self._record(request, status, perf_counter() - request.started, sent)

    def _fault(self, error: Exception, request: Request) -> Fault:
        if isinstance(error, Fault):
            if error.rejection:
                self.core.metrics.count("rejected", error.rejection)
            return error
        if isinstance(error, DecodeError):
            return Malformed("the bytes are no message of this method")
        name = request.id.decode()
        LOGGER.error("a call failed", exc_info=error, extra={"request_id": name})
        return Fault(f"the service failed; its log has the reason: {name}")

    def _asked(self, path: str, context: Any) -> Request:
        """The request of a call; gRPC's deadline takes the place of the header."""
        metadata = context.invocation_metadata()
        fields = {n.encode(): v if isinstance(v, bytes) else v.encode() for n, v in metadata}
        if (remaining := context.time_remaining()) is not None:
            fields[b"x-request-timeout-ms"] = b"%.3f" % max(1e3 * remaining, 1e-3)
        # The peer is "ipv4:1.2.3.4:5" or "ipv6:%5B::1%5D:5".
        address = unquote(context.peer().partition(":")[2]).rpartition(":")[0].strip("[]")
        return self.request(path, fields, address)

    def _admit(self, request: Request) -> None:
        access, fields, scope = self.core.access, request.fields, METHODS[request.path]
        if scope is not None and scope in access.checked:
            sent = fields.get(b"authorization"), fields.get(b"x-api-key")
            request.key = access.check(scope, *sent)
            request.caller = request.key.name if request.key else request.caller


class Message:
    """What a call has in place of a body that still arrives."""

    complete = True

    def __init__(self, content: bytes = b"") -> None:
        self.pieces = [content]

    async def read(self, limit: int, hold: Callable[[int], None]) -> list[bytes]:
        """The whole message."""
        return self.pieces


async def _abort(context: Any, request: Request, fault: Fault) -> bytes:
    """Ends the call with the code of the fault, and says when to try again."""
    code = _CODES.get(fault.status, grpc.StatusCode.INVALID_ARGUMENT)
    trailers: list[tuple[str, str | bytes]] = [("x-request-id", request.id.decode())]
    wait = dict(fault.headers).get(b"retry-after")
    if wait is not None:
        details = _Status(code=code.value[0], message=fault.detail)
        details.details.add().Pack(_RetryInfo(retry_delay={"seconds": int(wait)}))
        trailers.append(("grpc-status-details-bin", details.SerializeToString()))
    await context.abort(code, fault.detail, tuple(trailers))
    return b""  # not reached: abort raises
