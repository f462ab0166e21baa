"""The service from outside: formats, answers, the error table, ids, methods, documents."""

from __future__ import annotations

import base64
import gzip
import json
import re
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.inference.runtime import Runtime
from tests.digits import Images, as_form, as_idx, as_json, as_npy, as_npz, as_picture, images
from tests.problems import check_every_answer, check_problem
from tests.server import Answer, Server, parse_answers, serving, wait_until
from tests.service.conftest import BRITTLE, SLOW
from tests.tiny import tiny_model_bytes

RAW, NPY, JSON = "application/octet-stream", "application/x-npy", "application/json"
ONE = images(1, 5)
THREE = images(3, 6)


def predictions(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body[:500]
    check_every_answer(answer)
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


def bits(answer: Answer) -> bytes:
    rows = [p["probabilities"] for p in predictions(answer)]
    return np.array(rows, np.float64).astype(np.float32).tobytes()


def expected(array: Images, version: int = 1) -> bytes:
    return Runtime.load(tiny_model_bytes(version), provider="cpu").run(array).tobytes()


ONE_BODIES: dict[str, tuple[bytes, str]] = {
    "json": (as_json(ONE), JSON),
    "json with charset": (as_json(ONE), "Application/JSON; charset=utf-8"),
    "json flat": (as_json(ONE, flat=True), JSON),
    "json floats": (json.dumps({"images": ONE.astype(float).tolist()}).encode(), JSON),
    "json pictures": (
        json.dumps({"pictures": [base64.b64encode(as_picture(ONE[0])).decode()]}).encode(),
        JSON,
    ),
    "raw": (ONE.tobytes(), RAW),
    "npy": (as_npy(ONE), NPY),
    **{
        f"npy {array.dtype.str} {array.shape} {array.flags.c_contiguous}": (as_npy(array), NPY)
        for array in (
            *(ONE[0], ONE.reshape(784), ONE.reshape(1, 784), ONE[..., None]),
            *(ONE.astype(kind) for kind in ("i8", ">i2", "f2", "f4", ">f8")),
            np.asfortranarray(ONE[0]),
        )
    },
    "png": (as_picture(ONE[0]), "image/png"),
    "png under another name": (as_picture(ONE[0]), "image/jpeg"),
    **{
        f"image/{kind}": (as_picture(ONE[0], kind.upper()), f"image/{kind}")
        for kind in ("bmp", "gif", "tiff")
    },
    "webp": (as_picture(ONE[0], "WEBP", lossless=True), "image/webp"),
    "form": as_form(("files", "seven.png", as_picture(ONE[0]))),
}


@pytest.mark.parametrize("name", list(ONE_BODIES))
@pytest.mark.parametrize("coding", ["", "gzip", "deflate"])
def test_one_image_gives_the_same_bits_in_every_format(
    server: Server, name: str, coding: str
) -> None:
    body, content_type = ONE_BODIES[name]
    headers = {"Content-Encoding": coding} if coding else {}
    if coding:
        body = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    answer = server.post("/predict", body, content_type, headers)
    assert bits(answer) == expected(ONE)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (as_json(THREE), JSON),
        (THREE.tobytes(), RAW),
        (as_npy(THREE), NPY),
        as_form(*(("files", f"{n}.png", as_picture(image)) for n, image in enumerate(THREE))),
    ],
    ids=["json", "raw", "npy", "form"],
)
def test_several_images_are_answered_in_their_order(
    server: Server, body: bytes, content_type: str
) -> None:
    answer = server.post("/predict", body, content_type)
    content = answer.json()
    assert content.keys() == {"model", "version", "predictions"}
    assert (content["model"], content["version"]) == ("mnist", "1")
    found = np.frombuffer(bits(answer), np.float32).reshape(3, 10)
    wanted = np.frombuffer(expected(THREE), np.float32).reshape(3, 10)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    for prediction, row in zip(predictions(answer), wanted, strict=True):
        assert prediction["digit"] == row.argmax()
        assert prediction["confidence"] == max(prediction["probabilities"])


def test_another_version_answers_when_it_is_asked_for(server: Server) -> None:
    answer = server.post("/predict?version=2", ONE.tobytes(), RAW)
    assert answer.json()["version"] == "2"
    assert bits(answer) == expected(ONE, 2)


def test_the_faulty_image_is_named(server: Server) -> None:
    content = json.loads(as_json(THREE))
    content["images"][2][27][27] = 256
    problem = check_problem(server.post("/predict", json.dumps(content).encode()), 422, "255")
    assert [error["index"] for error in problem["errors"]] == [2]


# The error table.


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    "case",
    [
        *((400, "", body, JSON, {}) for body in (b"{", b"", b'{"images": [NaN]}', b"\xff\xfe")),
        (400, "", b"", RAW, {}),
        (400, "", as_npy(ONE)[:-1], NPY, {}),
        (400, "", as_npy(ONE) + b"x", NPY, {}),
        (400, "", as_picture(ONE[0])[:-20], "image/png", {}),
        (400, "PNG", b"no picture at all", "image/png", {}),
        (400, "gzip", zipped(ONE.tobytes())[:-3], RAW, GZIP),
        (400, "follow", zipped(ONE.tobytes()) + b"x", RAW, GZIP),
        (400, "deflate", ONE.tobytes(), RAW, {"Content-Encoding": "deflate"}),
        (413, "200000", bytes(200_001), RAW, {}),
        (413, "200", bytes(784 * 201), RAW, {}),
        (413, "200,000", zipped(bytes(10_000_000)), RAW, GZIP),
        (415, RAW, ONE.tobytes(), None, {}),
        (415, RAW, ONE.tobytes(), "text/plain", {}),
        (415, "image/*", ONE.tobytes(), "video/mp4", {}),
        (415, "gzip", ONE.tobytes(), RAW, {"Content-Encoding": "br"}),
        (422, "783", bytes(783), RAW, {}),
        *(
            (422, "", body, JSON, {})
            for body in (b"[]", b'{"images": []}', b'{"images": [[1, 2]]}', b'{"pixels": []}')
        ),
        (422, "", as_npy(np.zeros((28, 27), np.uint8)), NPY, {}),
        *((422, "", as_npy(np.full((28, 28), pixel)), NPY, {}) for pixel in (-1, np.inf)),
        *(
            (422, "X-Request-Timeout-Ms", ONE.tobytes(), RAW, {"X-Request-Timeout-Ms": timeout})
            for timeout in ("soon", "-1", "nan")
        ),
        (504, "deadline", ONE.tobytes(), RAW, {"X-Request-Timeout-Ms": "0.000001"}),
    ],
)
def test_every_error_has_its_status_and_the_one_form(
    server: Server, case: tuple[int, str, bytes, str | None, dict[str, str]]
) -> None:
    status, text, body, content_type, headers = case
    check_problem(server.post("/predict", body, content_type, headers), status, text)


@pytest.mark.parametrize("version", ["9", "0", "01", "-1", "x", "", "1%0A", "%2e%2e", "%D9%A1"])
def test_a_version_that_is_not_there_is_not_found_on_every_path(
    server: Server, version: str
) -> None:
    check_problem(server.post(f"/predict?version={version}", ONE.tobytes(), RAW), 404)
    check_problem(server.get(f"/models/mnist/versions/{version}"), 404)


@pytest.mark.parametrize("query", ["?x=1", "?version=1&version=1", "?versions=1", "?%00=1"])
def test_a_query_parameter_that_is_not_read_is_named(server: Server, query: str) -> None:
    check_problem(server.post(f"/predict{query}", ONE.tobytes(), RAW), 422, "parameter")


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/predict/", "/Predict", "//predict", "/models/mnist", "/docs/../x", "/%ff"],
)
def test_an_unknown_path_is_not_found(server: Server, path: str) -> None:
    for method in ("GET", "POST"):
        check_problem(server.request(method, path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        *((method, "/predict", "POST") for method in ("GET", "HEAD", "DELETE", "OPTIONS")),
        ("PUT", "/evaluate", "POST"),
        *(("POST", f"/{path}", "GET, HEAD") for path in ("models", "health/ready")),
        ("PATCH", "/metrics", "GET, HEAD"),
        ("POST", "/models/mnist/versions/1", "GET, HEAD"),
        ("TRACE", "/docs", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_which_are_right(
    server: Server, method: str, path: str, allowed: str
) -> None:
    answer = server.request(method, path)
    assert answer.status == 405
    assert answer.headers["allow"] == allowed
    check_every_answer(answer)
    if method != "HEAD":
        check_problem(answer, 405, allowed)


def test_a_full_queue_is_told_with_the_time_to_come_back(models: Path, tmp_path: Path) -> None:
    with (
        serving(models, tmp_path / "log", "--queue-rows", "100") as busy,
        ThreadPoolExecutor(4) as callers,
    ):
        target = f"/predict?version={SLOW}"
        busy.post(target, ONE.tobytes(), RAW)
        body = images(90).tobytes()
        waiting = [callers.submit(busy.post, target, body, RAW) for _ in range(4)]
        answers = [future.result() for future in waiting]
        rejected = [answer for answer in answers if answer.status != 200]
        assert 0 < len(rejected) < 4
        for answer in rejected:
            check_problem(answer, 429, "try again")
        assert busy.metric("mnist_rejected_total", reason="queue_full") == len(rejected)
        assert busy.post("/predict", ONE.tobytes(), RAW).status == 200


def test_an_evaluation_waits_for_room_and_counts_as_no_refusal(
    models: Path, tmp_path: Path
) -> None:
    flags = ("--queue-rows", "100", "--deadline-s", "60")
    with serving(models, tmp_path / "log", *flags) as busy, ThreadPoolExecutor(1) as callers:
        target = f"/predict?version={SLOW}"
        assert busy.post(target, ONE.tobytes(), RAW).status == 200
        large = callers.submit(busy.post, target, images(1000).tobytes(), RAW)
        wait_until(lambda: busy.metric("mnist_queue_rows") > 100)
        labelled = json.dumps({"images": ONE.tolist(), "labels": [1]}).encode()
        assert busy.post("/evaluate", labelled).json()["count"] == 1
        assert large.result().status == 200
        assert busy.metric("mnist_rejected_total", reason="queue_full") == 0


@pytest.mark.parametrize(
    ("query", "body", "content_type", "milliseconds"),
    [
        (f"?version={SLOW}", images(200).tobytes(), RAW, "5"),
        ("", as_json(images(1)).ljust(150_000), JSON, "0.001"),  # cannot be decoded in time
    ],
    ids=["infer", "decode"],
)
def test_a_deadline_cuts_a_large_request_short(
    server: Server, query: str, body: bytes, content_type: str, milliseconds: str
) -> None:
    server.post(f"/predict{query}", ONE.tobytes(), RAW)
    before = server.metric("mnist_rejected_total", reason="deadline")
    start = time.monotonic()
    headers = {"X-Request-Timeout-Ms": milliseconds}
    check_problem(server.post(f"/predict{query}", body, content_type, headers), 504, "deadline")
    assert time.monotonic() - start < 5
    assert server.metric("mnist_rejected_total", reason="deadline") == before + 1


def test_a_fault_of_the_service_gives_an_id_and_harms_no_other(
    models: Path, tmp_path: Path
) -> None:
    process = Server(models, tmp_path / "log")
    try:
        process.wait_until_ready()
        target = f"/predict?version={BRITTLE}"
        bad = np.full((1, 28, 28), 255, np.uint8).tobytes()
        answer = process.post(target, bad, RAW, {"X-Request-ID": "look-here"})
        assert answer.status == 500
        check_every_answer(answer)
        assert "look-here" in answer.json()["detail"]
        assert "bounds" not in answer.body.decode()
        wait_until(lambda: "a request failed" in process.stderr())
        (line,) = (x for x in process.lines() if x["message"] == "a request failed")
        assert line["request_id"] == "look-here"
        assert "out of data bounds" in line["traceback"]
        assert process.post(target, ONE.tobytes(), RAW).status == 200
    finally:
        assert process.stop() == 0


# What every answer has.


def test_a_good_request_id_is_kept_and_a_bad_one_replaced(server: Server) -> None:
    assert len({server.get("/health/live").headers["x-request-id"] for _ in range(50)}) == 50
    for good in ("a", "A-z_0.9", "x" * 128):
        answer = server.get("/health/live", {"X-Request-ID": good})
        assert answer.headers["x-request-id"] == good
    for bad in ("", "x" * 129, "a b", "a/b", "\u00e9", 'a"b', "a,b"):
        answer = server.get("/health/live", {"X-Request-ID": bad})
        assert answer.headers["x-request-id"] != bad
        check_every_answer(answer)


def test_the_timing_adds_up(server: Server) -> None:
    answer = server.post("/predict", THREE.tobytes(), RAW)
    spent = dict(re.findall(r"(\w+);dur=([0-9.]+)", answer.headers["server-timing"]))
    decode, queue, infer, total = (float(spent[n]) for n in ("decode", "queue", "infer", "total"))
    assert 0 < infer < total
    assert decode + queue + infer <= total + 0.01


@pytest.mark.parametrize(
    "path",
    [
        *("/health/live", "/models", "/models/mnist/versions/1", "/docs", "/", "/page/main.js"),
        "/datasets/mnist-test/images/0.png",
    ],
)
def test_head_gives_the_same_headers_and_no_body(server: Server, path: str) -> None:
    sent = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    head, _, body = server.exchange(sent).partition(b"\r\n\r\n")
    assert body == b""
    (answer,) = parse_answers(head + b"\r\n\r\n")
    whole = server.get(path)
    assert answer.status == whole.status == 200
    assert answer.headers["content-length"] == str(len(whole.body))
    assert answer.headers["content-type"] == whole.headers["content-type"]
    check_every_answer(answer)


def test_each_request_is_one_line_of_the_log_with_its_id(server: Server) -> None:
    server.post("/predict", THREE.tobytes(), RAW, {"X-Request-ID": "logged-1"})
    server.post("/predict", b"", RAW, {"X-Request-ID": "logged-2"})
    server.get("/no/such%0Apath", {"X-Request-ID": "logged-3"})

    def logged() -> list[dict[str, Any]]:
        return [line for line in server.access() if line["request_id"].startswith("logged-")]

    wait_until(lambda: len(logged()) >= 3)
    lines = logged()
    assert [(x["method"], x["path"], x["status"]) for x in lines] == [
        ("POST", "/predict", 200),
        ("POST", "/predict", 400),
        ("GET", "/no/such\npath", 404),
    ]
    first = lines[0]
    assert 0 < first["infer_ms"] < first["total_ms"]


def test_the_moments_of_a_drawing_are_a_line_a_second_and_each_that_fails(server: Server) -> None:
    start = time.monotonic()
    for number in range(30):
        body = THREE.tobytes() if number % 10 else b""
        server.post(
            "/predict", body, RAW, {"X-Request-ID": f"drawn-{number}", "X-Drawing": "growing"}
        )

    def logged(status: int) -> list[dict[str, Any]]:
        lines = [line for line in server.access() if line["request_id"].startswith("drawn-")]
        return [line for line in lines if line["status"] == status]

    wait_until(lambda: len(logged(400)) == 3 and len(logged(200)) > 0)
    assert len(logged(200)) <= 2 + time.monotonic() - start


# /evaluate

LABELLED = images(100, 8)
LABELS = np.random.default_rng(9).integers(0, 10, 100, np.uint8)
EVALUATIONS: dict[str, tuple[bytes, str]] = {
    "json": (
        json.dumps({"images": LABELLED.reshape(100, 784).tolist(), "labels": LABELS.tolist()})
        .replace(" ", "")
        .encode(),
        JSON,
    ),
    "npy": as_form(("images", "i.npy", as_npy(LABELLED)), ("labels", "l.npy", as_npy(LABELS))),
    "idx": as_form(("images", "i", as_idx(LABELLED)), ("labels", "l", as_idx(LABELS))),
    "idx gzip": as_form(
        ("images", "i.gz", gzip.compress(as_idx(LABELLED))),
        ("labels", "l.gz", gzip.compress(as_idx(LABELS))),
    ),
    "npz": as_form(("dataset", "d.npz", as_npz(images=LABELLED, labels=LABELS))),
    "npz keras": as_form(("dataset", "d.npz", as_npz(x_test=LABELLED, y_test=LABELS))),
}


@pytest.mark.parametrize("name", list(EVALUATIONS))
@pytest.mark.parametrize("version", [1, 2])
def test_an_evaluation_agrees_with_a_count_of_its_own(
    server: Server, name: str, version: int
) -> None:
    body, content_type = EVALUATIONS[name]
    answer = server.post(f"/evaluate?version={version}", body, content_type)
    assert answer.status == 200, answer.body[:500]
    check_every_answer(answer)
    found = answer.json()
    rows = np.frombuffer(expected(LABELLED, version), np.float32).reshape(100, 10)
    digits = rows.argmax(axis=1)
    assert (found["model"], found["version"], found["count"]) == ("mnist", str(version), 100)
    assert found["accuracy"] == pytest.approx(np.mean(digits == LABELS))
    chosen = np.clip(rows[np.arange(100), LABELS].astype(np.float64), 1e-7, 1)
    assert found["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-5)
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (LABELS, digits), 1)
    assert found["confusion_matrix"] == confusion.tolist()
    assert [c["support"] for c in found["per_class"]] == np.bincount(LABELS, minlength=10).tolist()
    assert len(found["mistakes"]) == 20
    for mistake in found["mistakes"]:
        assert LABELS[mistake["index"]] == mistake["label"]
        assert digits[mistake["index"]] == mistake["digit"]


@pytest.mark.slow
def test_the_test_set_is_scored_without_a_body(server: Server) -> None:
    answer = server.request("POST", "/evaluate?dataset=mnist-test")
    assert answer.status == 200
    assert answer.json()["count"] == 10_000
    assert len(answer.json()["mistakes"]) == 20
    for most in (0, 40):
        listed = server.request("POST", f"/evaluate?dataset=mnist-test&mistakes={most}").json()
        assert listed["mistakes"][:20] == answer.json()["mistakes"][:most]
        assert len(listed["mistakes"]) == len(listed["least_sure"]) == most
    for bad in ("1001", "-1", "all"):
        refused = server.request("POST", f"/evaluate?dataset=mnist-test&mistakes={bad}")
        check_problem(refused, 422)


@pytest.mark.slow
def test_a_version_is_scored_once_on_a_data_set_however_many_ask(server: Server) -> None:
    target = "/evaluate?dataset=mnist-test&version=2"
    before = server.metric("mnist_batch_size_sum")
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda _: server.request("POST", target), range(4)))
    answers.append(server.request("POST", target))
    assert [answer.status for answer in answers] == [200] * 5
    assert len({answer.body for answer in answers}) == 1
    assert answers[0].json()["version"] == "2"
    assert server.metric("mnist_batch_size_sum") - before <= 10_000


def labelled(labels: Sequence[float]) -> tuple[bytes, str]:
    return json.dumps({"images": ONE.tolist(), "labels": labels}).encode(), JSON


def blank(count: int) -> tuple[bytes, str]:
    zeros = np.zeros((count, 28, 28), np.uint8)
    return as_form(("images", "i", as_npy(zeros)), ("labels", "l", as_npy(zeros[:, 0, 0])))


@pytest.mark.parametrize(
    "case",
    [
        (404, "?dataset=cifar", b"", None, "mnist-test"),
        (404, "?dataset=", b"", None, "mnist-test"),
        (404, "?version=77&dataset=mnist-test", b"", None, "77"),
        (422, "?dataset=mnist-test", b"x", JSON, "body"),
        (422, "?data=1", b"", None, "parameter"),
        (415, "", b"x", None, "multipart/form-data"),
        (415, "", b"x", RAW, "multipart/form-data"),
        (400, "", b"", JSON, ""),
        (400, "", b"{", JSON, ""),
        (422, "", b"{}", JSON, ""),
        (422, "", b'{"images": [], "labels": []}', JSON, ""),
        (413, "", bytes(400_001), JSON, "400000"),
        (413, "", *blank(301), "300"),
        (422, "", *blank(0), ""),
        *((422, "", *labelled(labels), "") for labels in ([10], [1.5], [1, 2])),
        (422, "", *as_form(("images", "i", as_npy(ONE))), "labels"),
        (400, "", *as_form(("dataset", "d", b"PK\x03\x04nothing")), ""),
    ],
)
def test_what_cannot_be_evaluated_is_told_in_the_one_form(
    server: Server, case: tuple[int, str, bytes, str | None, str]
) -> None:
    status, query, body, content_type, text = case
    check_problem(server.post("/evaluate" + query, body, content_type), status, text)


# Models, health, documents


def test_the_models_and_what_runs_them_are_listed(server: Server) -> None:
    server.post("/predict?version=2", ONE.tobytes(), RAW)
    (model,) = server.get("/models").json()["models"]
    assert (model["name"], model["champion"]) == ("mnist", "1")
    states = {entry["version"]: entry["state"] for entry in model["versions"]}
    assert states["1"] == "serving"
    assert states["2"] == "loaded"
    assert model["provider"]["active"] == "cpu"
    assert model["provider"]["threads"] >= 1
    assert sum(model["provider"]["nodes"].values()) > 0


def test_a_card_is_shown_as_it_was_published(server: Server, models: Path) -> None:
    published = json.loads((models / "mnist/2/card.json").read_text())
    assert server.get("/models/mnist/versions/2").json() == published


@pytest.mark.parametrize("status", ["live", "ready"])
def test_the_service_lives_and_is_ready(server: Server, status: str) -> None:
    assert server.get(f"/health/{status}").json() == {"status": status}


def test_the_documents_need_no_internet(server: Server) -> None:
    page = server.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    links = re.findall(r'(?:href|src)="([^"]+)"', page.body.decode())
    assert len(links) == 4
    for link in links:
        assert "//" not in link
        asset = server.get(f"/{link}")
        assert asset.status == 200
        assert len(asset.body) > 100
    assert b"http" not in page.body.replace(b"http-equiv", b"")


def test_the_figures_count_what_was_asked(server: Server) -> None:
    before = server.metrics()
    server.post("/predict", THREE.tobytes(), RAW)
    (blank,) = predictions(server.post("/predict", bytes(784), RAW))
    assert (blank["doubtful"], blank["doubts"]) == (True, ["blank"])
    server.post("/predict", b"", RAW)
    after = server.metrics()

    def grown(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after.get(key, 0) - before.get(key, 0)

    assert grown("mnist_requests_total", endpoint="/predict", status="200") == 2
    assert grown("mnist_requests_total", endpoint="/predict", status="400") == 1
    assert grown("mnist_request_seconds_count", endpoint="/predict") == 3
    assert grown("mnist_batch_size_count") == 2
    assert grown("mnist_batch_size_sum") == 4
    assert grown("mnist_queue_seconds_count") == 2
    assert grown("mnist_doubts_total", doubt="blank") == 1
    digits = sum(grown("mnist_predictions_total", digit=str(digit)) for digit in range(10))
    assert digits == 4
