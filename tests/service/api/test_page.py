"""The page's files over HTTP, and the pictures it shows."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from service.api.evaluate import mnist_test
from service.imaging.load import open_picture
from service.settings import Settings
from service.types import Limits
from tests.problems import check_problem
from tests.server import Server

FOLDER = Path(__file__).resolve().parents[3] / "service" / "static" / "page"
PARTS = sorted(
    str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.*") if path.name != "index.html"
)
CURVE = "/models/mnist/versions/2/training_curve.png"


def test_the_page_comes_with_a_policy_that_lets_nothing_else_in(server: Server) -> None:
    answer = server.get("/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy == [
        *("default-src 'none'", "script-src 'self'", "style-src 'self'"),
        *("img-src 'self' blob: data:", "connect-src 'self'"),
        *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
    ]


@pytest.mark.parametrize("name", PARTS)
def test_each_part_comes_as_it_lies_in_the_folder(server: Server, name: str) -> None:
    answer = server.get(f"/page/{name}")
    assert answer.body == (FOLDER / name).read_bytes()
    kinds = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    assert answer.headers["content-type"].split(";")[0] == kinds[Path(name).suffix]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_part_names_another_origin_or_an_inline_style(server: Server) -> None:
    for path in FOLDER.rglob("*.*"):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|\bstyle=|\bon[a-z]+=\"|innerHTML", text), path.name


def test_a_part_that_is_known_is_not_sent_again(server: Server) -> None:
    first = server.get("/")
    assert first.headers["cache-control"] == "no-cache"
    before = server.metric("mnist_requests_total", endpoint="/", status="304")
    for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
        again = server.get("/", {"If-None-Match": known})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert "content-length" not in again.headers
    assert server.get("/", {"If-None-Match": '"other"'}).body == first.body
    assert server.metric("mnist_requests_total", endpoint="/", status="304") == before + 2


@pytest.mark.parametrize(
    "name",
    [
        "index.html",
        "nothing.js",
        "draw",
        "draw/nothing.js",
        "draw/../main.js",
        "..%2fdocs%2fREADME.md",
        "%2e%2e/page.py",
        "main.js%00",
    ],
)
def test_nothing_else_is_there(server: Server, name: str) -> None:
    check_problem(server.get(f"/page/{name}"), 404)


def test_a_test_image_comes_as_a_picture_of_its_pixels(server: Server) -> None:
    images, _ = mnist_test(Settings().data)
    for index in (0, 9999):
        answer = server.get(f"/datasets/mnist-test/images/{index}.png")
        assert answer.headers["content-type"] == "image/png"
        assert np.array_equal(open_picture(answer.body, Limits()).grey, images[index])


@pytest.mark.parametrize("index", ["10000", "-1", "01", "1.0", "x", "%D9%A3", "9" * 30, "..%2f0"])
def test_an_index_that_is_not_there_is_told(server: Server, index: str) -> None:
    check_problem(server.get(f"/datasets/mnist-test/images/{index}.png"), 404)


def test_a_versions_picture_comes_as_it_was_published(server: Server, models: Path) -> None:
    path = models / "mnist" / "2" / "training_curve.png"
    assert server.get(CURVE).status == 404
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    try:
        answer = server.get(CURVE)
        assert (answer.status, answer.body) == (200, b"\x89PNG\r\n\x1a\n")
        assert answer.headers["content-type"] == "image/png"
    finally:
        path.unlink()


@pytest.mark.parametrize(
    "name", ["model.onnx%00", "..%2fcard", "../2/card", "%2e%2e%2fchampion", "Curve", "a.b"]
)
def test_only_a_picture_is_a_picture(server: Server, name: str) -> None:
    check_problem(server.get(f"/models/mnist/versions/2/{name}.png"), 404)
    check_problem(server.get("/models/mnist/versions/99/training_curve.png"), 404)
