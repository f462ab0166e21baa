"""Feedback and review over HTTP, at both doors, with a store of each kind, by callers with keys."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.store.labels import labelled
from service.store.store import Store
from tests.digits import Images, as_picture, images
from tests.problems import check_ok, check_problem
from tests.server import Answer, Server, serving, wait_until
from tests.service.access.keys import add, bearer
from tests.tiny import tiny_model_bytes, tiny_repository, tiny_version

_seeds = count(1000)
NAMES = {"anna": "predict", "ben": "predict", "rita": "predict,review", "sam": "review"}


@dataclass
class Learning:
    """A service that keeps every answer, and keys of several callers."""

    server: Server
    keys: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, target: str, content: Any = None, caller: str = "anna") -> Answer:
        fields = bearer(self.keys[caller]) | {"Content-Type": "application/json"}
        body = None if content is None else json.dumps(content).encode()
        return self.server.request(method, target, body, fields)

    def say(self, caller: str = "anna", **content: Any) -> Answer:
        return self.ask("POST", "/feedback", content, caller)

    def predict(self, pixels: Images, caller: str = "anna", name: str | None = None) -> str:
        """Has images answered; returns the request's id."""
        fields = bearer(self.keys[caller]) | ({} if name is None else {"X-Request-ID": name})
        answer = self.server.post("/predict", pixels.tobytes(), "application/octet-stream", fields)
        assert answer.status == 200
        return answer.headers["x-request-id"]

    def export(self) -> dict[str, tuple[bytes, int]]:
        """The pixels and the digit of each label."""
        answer = self.ask("GET", "/feedback/export", caller="sam")
        assert answer.headers["content-type"] == "application/octet-stream"
        with np.load(io.BytesIO(answer.body)) as file:
            rows = zip(file["ids"].tolist(), file["images"], file["labels"].tolist(), strict=True)
            return {name: (pixels.tobytes(), digit) for name, pixels, digit in rows}


@pytest.fixture(scope="module", params=[("serve", "sqlite"), ("asgi", "postgresql")])
def learning(
    request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Learning]:
    folder = tmp_path_factory.mktemp("learning")
    door, kind = request.param
    url = f"sqlite:///{folder / 'a.sqlite'}"
    if kind == "postgresql":
        url = request.getfixturevalue("new_database")()
    keys = {name: add(folder / "keys", name, scopes) for name, scopes in NAMES.items()}
    flags = ("--keys", str(folder / "keys"), "--open", "metrics", "--capture", "1")
    environment = {"MNIST_STORE": url}
    with serving(models, folder / "log", *flags, environment=environment, door=door) as server:
        yield Learning(server, keys)


def some(number: int = 1) -> Images:
    """New images, which no test has used."""
    return images(number, seed=next(_seeds))


def kept(answer: Answer, status: int = 201) -> str:
    assert answer.status == status, answer.body
    name: str = answer.json()["id"]
    return name


def test_feedback_on_an_answer_labels_its_image(learning: Learning) -> None:
    pixels = some(3)
    name = kept(learning.say(digit=4, request_id=learning.predict(pixels), index=2))
    assert learning.export()[name] == (pixels[2].tobytes(), 4)


def test_feedback_on_an_image_and_on_a_picture(learning: Learning) -> None:
    pixels = some(2)
    picture = base64.b64encode(as_picture(pixels[1])).decode()
    flat = kept(learning.say(digit=None, image=pixels[0].ravel().tolist()))
    drawn = kept(learning.say(digit=0, picture=picture))
    exported = learning.export()
    assert exported[flat] == (pixels[0].tobytes(), -1)
    assert exported[drawn] == (pixels[1].tobytes(), 0)


def test_the_same_again_is_200_and_another_digit_replaces(learning: Learning) -> None:
    (pixels,) = some()
    name = kept(learning.say(digit=1, image=pixels.tolist()))
    assert kept(learning.say(digit=1, image=pixels.tolist()), 200) == name
    answer = learning.say(digit=2, image=pixels.tolist())
    assert answer.json() == {"id": name, "digit": 2}
    assert learning.export()[name][1] == 2
    assert kept(learning.say("ben", digit=2, image=pixels.tolist())) != name


def test_an_answer_to_somebody_else_is_not_found(learning: Learning) -> None:
    name = learning.predict(some(), "ben")
    check_problem(learning.say(digit=1, request_id=name), 404, "no answer to you")
    beyond = learning.say("ben", digit=1, request_id=name, index=1)
    check_problem(beyond, 404, "kept of this answer: 1; index 1 is none of them")
    kept(learning.say("ben", digit=1, request_id=name))


def test_an_id_that_was_used_twice_is_told_apart(learning: Learning) -> None:
    name, first, second = f"mine.{next(_seeds)}", some(), some()
    learning.predict(first, "anna", name)
    learning.predict(second, "ben", name)
    mine = kept(learning.say(digit=3, request_id=name))
    assert learning.export()[mine] == (first.tobytes(), 3)
    learning.predict(first, "anna", name)
    kept(learning.say(digit=3, request_id=name), 200)  # the same image both times
    learning.predict(second, "anna", name)
    kept(learning.say(digit=3, request_id=learning.predict(some())))  # waits for the store
    check_problem(learning.say(digit=3, request_id=name, index=0), 404, "used this id for 2 images")


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"digit": 1}, 422, "is expected"),
    ({"request_id": "a"}, 422, "is missing"),
    ({"digit": 10, "request_id": "a"}, 422, "neither"),
    ({"digit": True, "request_id": "a"}, 422, "neither"),
    ({"digit": "<b>7</b>", "request_id": "a"}, 422, "neither"),
    ({"digit": 1, "request_id": "'; DROP TABLE labels; --"}, 422, "is not 1 to 128"),
    ({"digit": 1, "request_id": "a\0"}, 422, "is not 1 to 128"),
    ({"digit": 1, "request_id": 7}, 422, "is not 1 to 128"),
    ({"digit": 1, "request_id": "a", "index": -1}, 422, "whole number"),
    ({"digit": 1, "request_id": "a", "index": 2**31}, 422, "whole number"),
    ({"digit": 1, "request_id": "a", "image": [0] * 784}, 422, "one of"),
    ({"digit": 1, "image": [0] * 784, "index": 0}, 422, "belongs to"),
    ({"digit": 1, "image": []}, 422, "784 numbers"),
    ({"digit": 1, "image": [[0] * 784]}, 422, "784 numbers"),
    ({"digit": 1, "image": [0.5] * 784}, 422, "scaled"),
    ({"digit": 1, "picture": ""}, 400, "empty"),
    ({"digit": 1, "picture": "!"}, 400, "base64"),
    ({"digit": 1, "picture": "AAAA"}, 400, "picture"),
    ({"digit": 1, "note": "<script>"}, 422, "unknown key"),
    ({"digit": 1, "request_id": "nobody-1"}, 404, "no answer to you"),
]


@pytest.mark.parametrize(("content", "status", "text"), WRONG)
def test_wrong_feedback_is_refused(
    learning: Learning, content: dict[str, Any], status: int, text: str
) -> None:
    check_problem(learning.say(**content), status, text)


def test_wrong_bodies_paths_and_scopes_are_refused(learning: Learning) -> None:
    server, anna = learning.server, bearer(learning.keys["anna"])
    check_problem(server.post("/feedback", b"{", headers=anna), 400)
    check_problem(server.post("/feedback", b"", headers=anna), 400)
    check_problem(server.post("/feedback", b"[]", headers=anna), 422, '{"digit": ...}')
    check_problem(server.post("/feedback", b'{"digit": 1}', "text/plain", anna), 415)
    check_problem(server.post("/feedback", b'{"digit": 1}'), 401)
    check_problem(learning.say("sam", digit=1, image=[0] * 784), 403, "'predict'")
    for target in ("GET /review", "GET /feedback/export", "POST /review/a"):
        method, path = target.split()
        check_problem(learning.ask(method, path, {"digit": 1}), 403, "'review'")
    for name in ("a", "%00", "'%20OR%201=1", "a" * 64, "a" * 5000):
        check_problem(learning.ask("DELETE", f"/feedback/{name}"), 404)
        check_problem(learning.ask("POST", f"/review/{name}", {"digit": 1}, "sam"), 404)
    check_problem(learning.ask("GET", "/feedback/abc"), 405)
    for number in ("0", "101", "-1", "x", "1" * 5000, "1e1", "%D9%A1"):
        target = f"/review?count={number}"
        refused = check_problem(learning.ask("GET", target, caller="sam"), 422, "count: '")
        assert refused["errors"][0]["field"] == "count"


def test_a_label_is_deleted_by_its_caller_or_a_reviewer(learning: Learning) -> None:
    (pixels,) = some()
    name = kept(learning.say(digit=1, image=pixels.tolist()))
    check_problem(learning.ask("DELETE", f"/feedback/{name}", caller="ben"), 404)
    assert check_ok(learning.ask("DELETE", f"/feedback/{name}")) == {"id": name, "digit": 1}
    check_problem(learning.ask("DELETE", f"/feedback/{name}"), 404)
    assert kept(learning.say(digit=1, image=pixels.tolist())) == name
    check_ok(learning.ask("DELETE", f"/feedback/{name}", caller="rita"))
    assert name not in learning.export()


def test_a_reviewer_labels_and_takes_back(learning: Learning) -> None:
    request_id, pixels = learning.predict(some(), "ben"), some()
    learning.predict(pixels)
    kept(learning.say("ben", digit=1, request_id=request_id))  # waits for the store
    before = check_ok(learning.ask("GET", "/review?count=100", caller="rita"))
    wanted = [item for item in before["items"] if decoded(item["png"]) == pixels.tobytes()]
    assert len(wanted) == 1
    item = wanted[0]
    assert item["version"] == "1"
    assert 0 < item["confidence"] <= 1
    assert item["reason"]
    assert item["when"].endswith("Z")
    name = kept(learning.ask("POST", f"/review/{item['id']}", {"digit": None}, "rita"))
    wrong = learning.ask("DELETE", f"/feedback/{item['id']}", caller="rita")
    check_problem(wrong, 404, f"no label with the id '{item['id']}'")
    assert kept(learning.ask("POST", f"/review/{item['id']}", {"digit": 5}, "rita"), 200) == name
    after = check_ok(learning.ask("GET", "/review?count=100", caller="rita"))
    assert after["waiting"] == before["waiting"] - 1
    assert item["id"] not in {each["id"] for each in after["items"]}
    other = kept(learning.ask("POST", f"/review/{item['id']}", {"digit": 6}, "sam"))
    assert {name, other}.isdisjoint(learning.export())  # they must agree to be used
    check_ok(learning.ask("DELETE", f"/feedback/{other}", caller="rita"))
    assert learning.export()[name] == (pixels.tobytes(), 5)


def decoded(png: str) -> bytes:
    from PIL import Image

    return Image.open(io.BytesIO(base64.b64decode(png))).tobytes()


@pytest.mark.slow
def test_what_was_acknowledged_survives_a_kill(models: Path, tmp_path: Path) -> None:
    """The answer and the feedback on it mostly come from two workers."""
    store = f"sqlite:///{tmp_path / 'a.sqlite'}"
    flags = ("--workers", "2", "--store", store, "--capture", "1")
    server = Server(models, tmp_path / "log", *flags)
    said: dict[str, tuple[bytes, int]] = {}
    try:
        server.wait_until_ready()
        for number in range(8):
            pixels = some()
            answer = server.post("/predict", pixels.tobytes(), "application/octet-stream")
            content = {"digit": number, "request_id": answer.headers["x-request-id"]}
            name = kept(server.post("/feedback", json.dumps(content).encode()))
            said[name] = pixels.tobytes(), number
    finally:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        for process in (server.process.pid, *map(int, children.read_text().split())):
            os.kill(process, signal.SIGKILL)
        server.process.wait()
    with closing(Store(store)) as opened, opened.begin() as connection:
        found = labelled(connection)
    rows = zip(found.labels, found.images, found.digits.tolist(), strict=True)
    assert {label: (image.tobytes(), digit) for label, image, digit in rows} == said


def test_without_a_store_the_answer_says_so(tmp_path: Path) -> None:
    flags, models = ("--store", "none", "--open", "predict,review"), tiny_repository(tmp_path / "m")
    tiny_version(models, 2, tiny_model_bytes(2))
    (models / "mnist" / "challenger").write_text("2 0.000000 now\n")
    with serving(models, tmp_path / "log", *flags) as server:
        check_problem(server.post("/feedback", b'{"digit": 1}'), 404, "MNIST_STORE")
        check_problem(server.get("/review"), 404, "MNIST_STORE")
        wait_until(lambda: server.get("/models").json()["models"][0]["challenger"] == "2")
        check_problem(server.get("/models/mnist/challenger"), 404, "MNIST_STORE")
        assert "but there is no store" not in server.stderr()


def test_by_default_nothing_is_kept_but_feedback(tmp_path: Path) -> None:
    models = tiny_repository(tmp_path / "models")
    file = models / "learning.sqlite"
    flags = ("--open", "predict,review", "--capture-rows", "1")
    with serving(models, tmp_path / "log", *flags) as server:
        own = server.post("/predict", some().tobytes(), "application/octet-stream")
        assert not file.exists()
        said = {"digit": 1, "request_id": own.headers["x-request-id"]}
        check_problem(
            server.post("/feedback", json.dumps(said).encode()), 404, "MNIST_CAPTURE is off"
        )
        assert check_ok(server.get("/review")) == {"waiting": 0, "items": []}
        said = {"digit": 1, "image": [0] * 784}
        name = kept(server.post("/feedback", json.dumps(said).encode()))
        full = server.post("/feedback", json.dumps(said | {"image": [9] * 784}).encode())
        assert full.status == 429
        assert full.json()["type"] == "urn:mnist-serve:problem:store-full"
        assert full.headers["retry-after"] == "3600"
        assert kept(server.post("/feedback", json.dumps(said | {"digit": 2}).encode()), 200) == name
    assert file.stat().st_mode & 0o777 == 0o600
