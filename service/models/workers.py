"""Makes the workers one service: each asks the others, through sockets in the folder they share.

A question is one line of JSON, a verb and a version; the answer is an object. A worker
that died, or that does not answer in time, has no say.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from service.observe.statistics import joined

View = dict[str, Any]
"""What one worker knows: its process, champion, champion_fault, states and statistics."""
ANSWER_SECONDS, LOOK_SECONDS = 2.0, 30.0
"""How long a view may take, and the load of the champion."""
_RANKS = ("available", "loaded", "serving", "failed")


class Workers:
    """The other workers of this service; none without a ``folder``."""

    def __init__(self, folder: Path | None, answer: Callable[..., Awaitable[View]]) -> None:
        self._folder, self._answer = folder, answer
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Answers the others from now on."""
        if self._folder is not None:
            own = self._folder / f"{os.getpid()}.sock"
            self._server = await asyncio.start_unix_server(self._serve, own)

    def stop(self) -> None:
        """Answers no more."""
        if self._server is not None:
            self._server.close()

    async def ask(
        self, verb: str, version: str = "", seconds: float = ANSWER_SECONDS
    ) -> list[View]:
        """Returns what each other worker answers within so many seconds."""
        if self._server is None or self._folder is None:
            return []
        line = orjson.dumps([verb, version], option=orjson.OPT_APPEND_NEWLINE)
        others = [p for p in self._folder.glob("*.sock") if p.stem != str(os.getpid())]
        answers = await asyncio.gather(*(_exchange(path, line, seconds) for path in others))
        return [answer for answer in answers if answer is not None]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError):
            question = orjson.loads(await reader.readline())
            writer.write(orjson.dumps(await self._answer(*question)))
            await writer.drain()
        writer.close()


async def _exchange(path: Path, line: bytes, seconds: float) -> View | None:
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(line)
                answer: View = orjson.loads(await reader.read())
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return None
    return answer


def joint_fault(views: Sequence[View]) -> str | None:
    """Returns why one of the workers does not serve the champion, or None."""
    return next(filter(None, (view["champion_fault"] for view in views)), None)


def joint_statistics(version: str | None, views: Sequence[View]) -> list[dict[str, Any]]:
    """Returns what all workers did with one version, loaded or not, or with all loaded ones."""
    loaded = {name for view in views for name in view["statistics"]}
    return [
        joined(name, [view["statistics"][name] for view in views if name in view["statistics"]])
        for name in (sorted(loaded, key=int) if version is None else [version])
    ]


def joint_state(version: str, views: Sequence[View]) -> dict[str, str | None]:
    """Returns a version's state in the service: the most that a worker says of it."""
    states = [view["states"].get(version, ("available", None)) for view in views]
    state, reason = max(states, key=lambda one: _RANKS.index(one[0]))
    return {"version": version, "state": state, "reason": reason}
