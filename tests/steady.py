"""A steady load: sends requests at a fixed rate on kept connections and checks each answer.

The time of a request starts when it is due, so one slow answer cannot hide the wait of the requests
behind it. The load retries a refused connection, as any client of a restarting service does. Every
other failure is a lost request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

REFUSED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: when it was due, how long its answer took, and its result."""

    due: float
    seconds: float
    version: str
    """The version that the answer names."""
    fault: str | None


@dataclass(frozen=True, slots=True)
class Kind:
    """A complete HTTP request, and a function that checks its answer.

    ``read`` gets the head and the body of an answer with status 200. It returns the version that
    answered, or raises ValueError.
    """

    request: bytes
    read: Callable[[bytes, bytes], str]


@dataclass
class Steady:
    """The load. :meth:`run` appends to ``asked``."""

    host: str
    port: int
    kinds: Sequence[Kind]
    rate: float
    """Requests per second, over all connections."""
    connections: int
    asked: list[Asked] = field(default_factory=list)
    refused: int = 0
    stopped: bool = False

    async def run(self) -> None:
        """Sends requests until ``stopped`` is true."""
        await asyncio.gather(*(self._caller(number) for number in range(self.connections)))

    async def _caller(self, number: int) -> None:
        period = self.connections / self.rate
        due = perf_counter() + period * number / self.connections
        stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        turn = number
        while not self.stopped:
            await asyncio.sleep(max(0.0, due - perf_counter()))
            kind = self.kinds[turn % len(self.kinds)]
            turn += 1
            version, fault = "", None
            try:
                if stream is None:
                    stream = await self._connect()
                head, body = await asyncio.wait_for(_ask(stream, kind.request), 30)
                if not head.startswith(b"HTTP/1.1 200"):
                    fault = f"{head.splitlines()[0].decode()} {body[:200]!r}"
                else:
                    version = kind.read(head, body)
                if b"\r\nconnection: close" in head.lower():
                    stream[1].close()
                    stream = None
            except (OSError, EOFError, ValueError) as error:
                fault = f"{type(error).__name__}: {error}"
                if stream is not None:
                    stream[1].close()
                    stream = None
            self.asked.append(Asked(due, perf_counter() - due, version, fault))
            due = max(due + period, perf_counter() - period)
        if stream is not None:
            stream[1].close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        end = perf_counter() + REFUSED_SECONDS
        while True:
            try:
                return await asyncio.open_connection(self.host, self.port)
            except ConnectionRefusedError:
                if perf_counter() > end:
                    raise
                self.refused += 1
                await asyncio.sleep(0.05)


async def _ask(
    stream: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes
) -> tuple[bytes, bytes]:
    reader, writer = stream
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head, await reader.readexactly(int(line.partition(b":")[2]))
    raise ValueError("the answer has no Content-Length")


def post(target: str, body: bytes, media_type: str) -> bytes:
    """Returns a complete HTTP/1.1 POST request."""
    head = (
        f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
