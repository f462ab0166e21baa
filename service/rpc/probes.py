"""What probes and tools ask: gRPC's health, and reflection for clients such as grpcurl."""

import asyncio
from collections.abc import AsyncIterator

from grpc_reflection.v1alpha.reflection import aio
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from service.api.request import Request
from service.errors import NotFound
from service.rpc.calls import Calls
from service.rpc.messages import POOL, message
from service.rpc.methods import SERVICES

LOOK_SECONDS = 0.2
_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3
_Asked = message("grpc.health.v1.HealthCheckRequest")
_Answer = message("grpc.health.v1.HealthCheckResponse")
_REFLECTION = aio.ReflectionServicer(SERVICES, POOL)


async def check(request: Request, body: bytes) -> bytes:
    """The health of a service, or of all with an empty name: SERVING while it is ready."""
    name = _Asked.FromString(body).service
    status = _status(request, name)
    if status == _SERVICE_UNKNOWN:
        raise NotFound(f"there is no service {name[:80]!r}; there are {', '.join(SERVICES)}")
    return bytes(_Answer(status=status).SerializeToString())


class Watch:
    """Tells the health of a service each time it changes, until the service stops."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def __call__(
        self, request: Request, bodies: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Answers the first message of ``bodies`` for as long as the caller listens."""
        name, told = _Asked.FromString(await anext(bodies, b"")).service, None
        while not self._calls.closing.is_set():
            status = _status(request, name)
            if status != told:
                yield _Answer(status=status).SerializeToString()
                told = status
            await asyncio.sleep(LOOK_SECONDS)


async def reflect(request: Request, bodies: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Answers each question of the stream; the messages of v1alpha are those of v1."""
    questions = (ServerReflectionRequest.FromString(body) async for body in bodies)
    async for answer in _REFLECTION.ServerReflectionInfo(questions, None):
        yield answer.SerializeToString()


def _status(request: Request, name: str) -> int:
    if name and name not in SERVICES:
        return _SERVICE_UNKNOWN
    return _SERVING if request.core.versions.why_not_ready() is None else _NOT_SERVING
