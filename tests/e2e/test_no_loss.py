"""A new champion, a restart or a stop loses no request."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.digits import images
from tests.server import Server, free_port, serving, wait_until
from tests.steady import Steady
from tests.tiny import tiny_repository
from tests.two_versions import kinds

IMAGES = images(8)
pytestmark = pytest.mark.slow


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tiny_repository(tmp_path / "models", versions=(1, 2))


def name_champion(models: Path, version: int) -> None:
    fresh = models / "mnist/.champion"
    fresh.write_text(f"{version}\n")
    fresh.replace(models / "mnist/champion")


def under_load(server: Server, models: Path, work: Callable[[Steady], Awaitable[None]]) -> Steady:
    """Runs ``work`` while 12 connections send 150 requests per second."""
    load = Steady(server.host, server.port, kinds(models, (1, 2), IMAGES), 150, 12)

    async def both() -> None:
        running = asyncio.create_task(load.run())
        try:
            await work(load)
        finally:
            load.stopped = True
            await running

    asyncio.run(both())
    return load


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the condition sets no event
            await asyncio.sleep(0.02)


async def answered_by(load: Steady, version: int) -> None:
    """Returns once the version computed the last hundred answers."""
    await until(lambda: {each.version for each in load.asked[-100:]} == {str(version)})


async def answered(load: Steady, count: int) -> None:
    """Returns once ``count`` more requests have ended."""
    enough = len(load.asked) + count
    await until(lambda: len(load.asked) >= enough)


def test_no_request_is_lost_or_misnamed_while_the_champion_changes(
    models: Path,
) -> None:
    async def switch(load: Steady) -> None:
        for _ in range(4):
            for version in (2, 1):
                name_champion(models, version)
                await answered_by(load, version)

    with serving(models, models.parent / "log", "--workers", "2") as server:
        wait_until(lambda: server.metric("mnist_workers") == 2, 60)
        load = under_load(server, models, switch)
    assert [each.fault for each in load.asked if each.fault] == []
    assert load.refused == 0
    assert min(Counter(each.version for each in load.asked).values()) > 400


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.campaign), "2"])
def test_no_request_is_lost_by_a_restart(models: Path, workers: str) -> None:
    """Clients keep their connections and retry only a refused connection."""
    flags = ("--workers", workers, "--port", str(free_port()))
    servers = [Server(models, models.parent / "log0", *flags)]
    servers[0].wait_until_ready()

    async def restart(load: Steady) -> None:
        for turn in range(1, 4):
            await asyncio.sleep(0.7)
            old = servers[-1]
            old.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(old.process.wait, 30) == 0
            servers.append(Server(models, models.parent / f"log{turn}", *flags))
            await answered(load, 100)

    try:
        load = under_load(servers[0], models, restart)
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.stop()
    assert [each.fault for each in load.asked if each.fault] == []
    assert load.refused > 0
    assert all("raceback" not in server.stderr() for server in servers)


def test_a_stop_resets_next_to_no_new_connection(models: Path) -> None:
    """Sixteen clients open one connection per request until the server refuses them.

    The server accepts whatever waits, and then closes its sockets. A connection that is made
    between the two is reset; clients see the same as if it were refused a moment later.
    """

    async def knock(server: Server) -> tuple[int, list[str]]:
        made, resets, loop = 0, list[str](), asyncio.get_running_loop()
        request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"

        async def caller() -> None:
            nonlocal made
            while True:
                begin = loop.time()
                try:
                    reader, writer = await asyncio.open_connection(server.host, server.port)
                except ConnectionRefusedError:
                    return
                except OSError as error:
                    resets.append(repr(error))
                    continue
                made += 1
                assert loop.time() - begin < 0.9, "the kernel sends a dropped SYN again after 1 s"
                try:
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert head.startswith(b"HTTP/1.1 200"), head
                except (OSError, EOFError) as error:
                    resets.append(repr(error))
                writer.close()

        callers = [asyncio.create_task(caller()) for _ in range(16)]
        await asyncio.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*callers)
        return made, resets

    for flags in (["--workers", "1", "--admin-port", str(free_port())], ["--workers", "2"]):
        log = models.parent / f"log{flags[1]}"
        with serving(models, log, *flags, "--drain-delay-s", "0.3") as server:
            made, resets = asyncio.run(knock(server))
        assert made > 100
        assert len(resets) <= 1, resets
