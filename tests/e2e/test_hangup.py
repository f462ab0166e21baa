"""SIGHUP: keys, certificate and log are taken up anew, and no request is lost."""

from __future__ import annotations

import http.client
import json
import signal
import threading
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.digits import images
from tests.e2e.test_tls import Files, shown
from tests.e2e.test_workers import children
from tests.server import Server, serving, wait_until
from tests.tiny import tiny_repository

pytestmark = pytest.mark.slow
BODY = images(1).tobytes()


class Load:
    """Callers with kept connections, who classify one image after the other until the end."""

    def __init__(self, server: Server, callers: int = 4) -> None:
        self.server, self.statuses, self.faults = server, list[int](), list[str]()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(callers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        host, port, tls = self.server.host, self.server.port, self.server.tls
        kept = http.client.HTTPSConnection(host, port, timeout=30, context=tls)
        fields = {"Content-Type": "application/octet-stream"}
        try:
            while not self._ended.wait(0.005):
                kept.request("POST", "/predict", BODY, fields)
                answer = kept.getresponse()
                answer.read()
                self.statuses.append(answer.status)
                if answer.headers["Connection"] == "close":
                    self.faults.append("a connection was closed")
        except (OSError, http.client.HTTPException) as error:
            self.faults.append(repr(error))
        finally:
            kept.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_everything_is_taken_up_anew_and_nothing_lost(tmp_path: Path, workers: int) -> None:
    models, files = tiny_repository(tmp_path / "models"), Files(tmp_path, Authority())
    files.write("first")
    keys, log = tmp_path / "keys.json", tmp_path / "log"
    keys.write_text('{"keys": []}')
    keys.chmod(0o600)
    flags = ["--keys", str(keys), "--open", "predict,metrics", "--workers", str(workers)]
    with serving(models, log, *files.flags, *flags, tls=files.authority.client()) as server:
        wait_until(lambda: server.metric("mnist_workers") == workers, 60)
        workers_before = children(server)
        with Load(server) as load:
            for turn in range(1, 4):
                old = tmp_path / f"log.{turn}"
                log.rename(old)
                files.write(f"renewed {turn}")
                server.process.send_signal(signal.SIGHUP)
                wait_until(lambda: log.exists() and logged(log, "anew") == workers, 60)
                assert {shown(server) for _ in range(8)} == {f"renewed {turn}"}
                before, size = len(load.statuses), old.stat().st_size
                wait_until(lambda least=before + 50: len(load.statuses) > least, 60)
                assert old.stat().st_size == size, "a worker still writes into the file of before"
        assert load.faults == []
        assert set(load.statuses) == {200}
        assert children(server) == workers_before


def logged(log: Path, words: str) -> int:
    """How many lines of the log say so."""
    whole = log.read_text().rpartition("\n")[0]
    return sum(words in json.loads(line)["message"] for line in whole.splitlines())
