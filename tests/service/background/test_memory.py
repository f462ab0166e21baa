"""How the process holds its memory, on real pages."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from time import sleep

import pytest

from service.background.memory import Room, fitted, memory_limit
from service.errors import TooLarge
from service.settings import Settings
from tests.digits import images
from tests.server import Server, serving
from tests.tiny import tiny_repository

MIB = 1 << 20

PAGES_OF_TWENTY_ROUNDS = """
import resource
from service.background import memory
memory.keep_freed()

def round():
    bodies = [bytes([1]) * 200_000 for _ in range(20)]

round()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    round()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="these are glibc's knobs")
def test_bodies_that_come_and_go_take_no_new_pages() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PAGES_OF_TWENTY_ROUNDS], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 1000, "4 MB are some 1,000 pages, in each of 20 rounds"


def resident_bytes(server: Server) -> int:
    text = Path(f"/proc/{server.process.pid}/statm").read_text()
    return int(text.split()[1]) * resource.getpagesize()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_connections_that_are_kept_hold_no_bodies_and_no_answers(tmp_path: Path) -> None:
    body = images(2000).tobytes()
    with serving(tiny_repository(tmp_path), tmp_path / "log") as server, ExitStack() as kept:

        def ask(times: int) -> None:
            for _ in range(times):
                connection = HTTPConnection(server.host, server.port, timeout=30)
                kept.callback(connection.close)
                head = {"Content-Type": "application/octet-stream"}
                connection.request("POST", "/predict", body, head)
                assert connection.getresponse().read().startswith(b'{"model"')

        ask(10)
        before = resident_bytes(server)
        ask(60)
        assert resident_bytes(server) - before < 15 * MIB, "an answer is 0.5 MB"


LIMITS = {"v2": "{}/memory.max", "v1": "memory/{}/memory.limit_in_bytes"}


@pytest.fixture(params=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def processes(tmp_path: Path, version: str, group: str) -> tuple[Path, Path]:
    """What the kernel says of a process in ``group``, and where its groups are mounted."""
    groups, mount = tmp_path / "groups", tmp_path / "cgroup"
    names = "" if version == "v2" else "cpu,memory"
    groups.write_text(f"9:devices:/\n4:{names}:{group}\n")
    return groups, mount


def limit(mount: Path, group: str, version: str, text: str) -> None:
    path = mount / LIMITS[version].format(group)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


ALL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_the_least_limit_of_the_groups_around_a_process_counts(
    tmp_path: Path, version: str
) -> None:
    groups, mount = processes(tmp_path, version, "/pods/a/b")
    limit(mount, "pods/a/b", version, "max" if version == "v2" else "9223372036854771712")
    assert memory_limit(groups, mount) == ALL
    limit(mount, "pods/a", version, str(600 * MIB))
    assert memory_limit(groups, mount) == 600 * MIB
    limit(mount, "pods/a/b", version, str(500 * MIB))
    limit(mount, "pods", version, str(700 * MIB))
    assert memory_limit(groups, mount) == 500 * MIB


@pytest.mark.parametrize("group", ["/pods/a", "/", "/../a"])
def test_a_container_sees_its_own_group_as_the_top(
    tmp_path: Path, version: str, group: str
) -> None:
    groups, mount = processes(tmp_path, version, group)
    limit(mount, ".", version, str(300 * MIB))
    assert memory_limit(groups, mount) == 300 * MIB


def test_without_a_limit_the_memory_is_the_machine_s(tmp_path: Path) -> None:
    assert memory_limit(tmp_path / "groups") == ALL


def test_sizes_follow_from_the_memory_of_a_worker_up_to_their_defaults() -> None:
    whole = Settings()
    assert fitted(whole, 64 << 30) == whole
    small = fitted(Settings(workers=2), 1 << 30)
    assert small.max_picture_bytes == 256 * MIB
    assert small.max_waiting_bytes == 64 * MIB
    assert small.max_model_bytes == 32 * MIB
    assert small.queue_rows == 16_384
    assert small.max_loaded == 3
    assert fitted(Settings(), 1 * MIB).max_loaded == 1


def test_a_size_that_is_set_stays() -> None:
    chosen = Settings(max_waiting_bytes=512 * MIB, max_loaded=9)
    small = fitted(chosen, 100 * MIB)
    assert (small.max_waiting_bytes, small.max_loaded) == (512 * MIB, 9)
    assert small.max_picture_bytes == 50 * MIB


def test_pictures_wait_for_room_and_one_that_never_fits_is_refused() -> None:
    room = Room(1000)
    held: list[int] = []

    def decode(amount: int) -> None:
        with room.hold(amount, "the picture"):
            held.append(amount)
            assert sum(held) <= 1000
            sleep(0.02)
            held.remove(amount)

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(decode, amount) for amount in (400, 1000, 300, 600) * 5]:
            done.result()
    with pytest.raises(TooLarge, match="the picture takes 1,001 bytes of memory; at most 1,000"):
        room.hold(1001, "the picture").__enter__()
    with room.hold(1000, "one"), room.hold(10, "a small one, which does not count"):
        pass
