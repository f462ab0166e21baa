"""Which answers are kept, for how long, and that a store in trouble harms none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Row, func, select

from service.store.capture import clear
from service.store.labels import put_label
from service.store.store import Store
from service.store.tables import ANSWERS, DISAGREEMENTS, IMAGES, keep_images
from tests.digits import Images, images
from tests.server import Server, serving, wait_until
from tests.service.imaging.champion import MODELS

RAW = "application/octet-stream"


@contextmanager
def capturing(models: Path, folder: Path, url: str, *flags: str) -> Iterator[Server]:
    environment = {"MNIST_STORE": url}
    with serving(models, folder / "log", *flags, environment=environment) as server:
        yield server


def ask(server: Server, pixels: Images, name: str = "a") -> None:
    answer = server.post("/predict", pixels.tobytes(), RAW, {"X-Request-ID": name})
    assert answer.status == 200


def answers(url: str) -> list[Row[tuple[object, ...]]]:
    with closing(Store(url)) as store, store.begin() as connection:
        return list(connection.execute(select(ANSWERS).order_by(ANSWERS.c.id)))


def test_a_share_is_kept_by_the_id_of_the_request(
    models: Path, tmp_path: Path, store_url: str
) -> None:
    with capturing(models, tmp_path, store_url, "--capture", "0.3") as server:
        for number in range(60):
            for _ in range(2):
                ask(server, images(2, seed=number), f"mine-{number * 7919}")
        answer = server.post("/feedback", b'{"digit": 1, "request_id": "0"}')
        assert answer.status == 404
        assert "MNIST_CAPTURE is 0.3, drawn by the id" in answer.json()["detail"]
    rows = answers(store_url)  # what waited at the stop is there too
    names = [row.request_id for row in rows]
    assert 8 <= len(set(names)) <= 32
    assert {names.count(name) for name in names} == {4}
    assert [row.position for row in rows[:2]] == [0, 1]
    assert {row.caller for row in rows} == {"127.0.0.1"}
    assert all(0 <= row.second <= row.confidence <= 1 for row in rows)


def test_doubtful_answers_are_kept_in_every_protocol(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.sqlite'}"
    pixels = np.zeros((3, 28, 28), np.uint8)
    pixels[1, 4:24, 12:15] = 255  # a 1, which is in no doubt
    with capturing(MODELS, tmp_path, url, "--capture", "doubtful") as server:
        ask(server, pixels)
        noise = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
        instances = [pixels[1].tolist(), noise.tolist()]
        server.post("/v1/models/mnist:predict", f'{{"instances": {instances}}}'.encode())
    rows = answers(url)
    assert [(row.position, row.doubts != "") for row in rows] == [(0, True), (2, True), (1, True)]
    assert "blank" in rows[0].doubts


def test_the_newest_rows_stay(models: Path, tmp_path: Path, store_url: str) -> None:
    flags = ("--capture", "1", "--capture-rows", "20")
    with capturing(models, tmp_path, store_url, *flags) as server:
        for number in range(10):
            ask(server, images(5, seed=number), f"r{number}")
        wait_until(lambda: server.metric("mnist_captured_total") == 50)
    rows = answers(store_url)
    assert len(rows) == 20
    assert rows[-1].request_id == "r9"
    with closing(Store(store_url)) as store, store.begin() as connection:
        assert connection.scalar(select(func.count()).select_from(IMAGES)) == 20


def test_old_answers_go_and_labelled_images_stay(store_url: str) -> None:
    with closing(Store(store_url)) as store:
        with store.begin() as connection:
            names = keep_images(connection, [bytes([each]) * 784 for each in range(4)])
            row = {"request_id": "r", "position": 0, "caller": "c", "digit": 3, "confidence": 0.9}
            row |= {"second": 0.1, "doubts": "", "version": "1"}
            rows = [row | {"image": name, "answered_at": at} for at, name in enumerate(names)]
            connection.execute(ANSWERS.insert(), rows)
            seen = {"champion": "1", "challenger": "2", "champion_digit": 3, "challenger_digit": 5}
            connection.execute(DISAGREEMENTS.insert(), seen | {"image": names[1], "seen_at": 9.0})
            put_label(connection, names[0], 3, "anna", "feedback")
        with store.begin() as connection:
            clear(connection, rows=100, before=3.0)
            assert connection.scalars(select(ANSWERS.c.image)).all() == [names[3]]
            assert set(connection.scalars(select(IMAGES.c.id))) == {names[0], names[1], names[3]}
            clear(connection, rows=100, before=10.0)
            assert set(connection.scalars(select(IMAGES.c.id))) == {names[0]}


def test_a_damaged_store_harms_no_answer(models: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    file.write_bytes(os.urandom(10_000))
    with capturing(models, tmp_path, f"sqlite:///{file}", "--capture", "1") as server:
        for number in range(5):
            ask(server, images(400 // 5, seed=number))
        wait_until(lambda: server.metric("mnist_store_fault") == 1)
        ask(server, images(1))
        assert server.get("/health/ready").status == 200
        assert server.get("/review").status == 401
        answer = server.post("/feedback", b'{"digit": 1, "request_id": "a"}')
        assert answer.status == 503
        assert "retry-after" in answer.headers
        wait_until(lambda: server.metric("mnist_store_dropped_total") >= 1)
    told = [line for line in server.lines() if "store" in line["message"]]
    assert [line["message"] for line in told] == ["the store is away; answers go on"]
    assert "not a database" in told[0]["reason"]


def test_a_password_is_not_told(tmp_path: Path, models: Path) -> None:
    url = "postgresql+psycopg://digits:secret-word@127.0.0.1:9/digits"
    with capturing(models, tmp_path, url) as server:
        assert server.post("/feedback", b'{"digit": 1, "image": []}').status == 422
        content = f'{{"digit": 1, "image": {[0] * 784}}}'.encode()
        assert server.post("/feedback", content).status == 503
    assert "secret-word" not in server.stderr()


@pytest.mark.parametrize("url", ["sqlite:///", "mysql://a:secret@b/c", "sqlite:///a?mode=ro"])
def test_a_store_of_another_kind_is_refused(url: str, models: Path, tmp_path: Path) -> None:
    server = Server(models, tmp_path / "log", environment={"MNIST_STORE": url})
    assert server.process.wait(30) != 0
    assert server.stderr().count("\n") == 1
    assert "MNIST_STORE" in server.stderr()
    assert "secret" not in server.stderr()
