"""gRPC's health service: SERVING while the service is ready, NOT_SERVING while it drains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from service.api.request import Request
from service.core import Core
from service.errors import NotFound
from service.rpc.calls import Calls
from service.rpc.messages import message
from service.rpc.methods import SERVICES

LOOK_SECONDS = 0.2
_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3
_Asked = message("grpc.health.v1.HealthCheckRequest")
_Answer = message("grpc.health.v1.HealthCheckResponse")


async def check(request: Request, body: bytes) -> bytes:
    """The state of a service, or of all with an empty name."""
    name = _Asked.FromString(body).service
    status = _status(request.core, name)
    if status == _SERVICE_UNKNOWN:
        raise NotFound(f"there is no service {name[:80]!r}; there are {', '.join(SERVICES)}")
    return bytes(_Answer(status=status).SerializeToString())


class Watch:
    """Tells the state of a service each time it changes, until the service stops."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def __call__(
        self, request: Request, bodies: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Answers the first message of ``bodies`` for as long as the caller listens."""
        name = _Asked.FromString(await anext(bodies, b"")).service
        told = None
        while True:
            status = _status(request.core, name)
            if status != told:
                yield _Answer(status=status).SerializeToString()
                told = status
            if self._calls.closing.is_set():
                return
            await asyncio.sleep(LOOK_SECONDS)


def _status(core: Core, name: str) -> int:
    if name and name not in SERVICES:
        return _SERVICE_UNKNOWN
    return _SERVING if core.versions.why_not_ready() is None else _NOT_SERVING
