"""The Open Inference Protocol v2, with hand-written requests."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.types import Images
from tests.problems import check_error, check_ok
from tests.server import EVERYTHING, Answer, Server, probabilities, serving, wait_until
from tests.service.decode.samples import digits
from tests.tiny import tiny_repository

IMAGES = digits()[:3]
INFER = "/v2/models/mnist/infer"
OCTETS = "application/octet-stream"
LENGTH = "Inference-Header-Content-Length"
EXTENSIONS = {
    *("binary_tensor_data", "classification", "model_configuration"),
    *("model_repository", "statistics"),
}


def content(data: Any = None, images: Images = IMAGES, **more: Any) -> dict[str, Any]:
    """Returns a request with this ``data``, or with that of the images."""
    values = images.ravel().tolist() if data is None else data
    shape = [len(images), 28, 28]
    tensor = {"name": "image", "shape": shape, "datatype": "UINT8", "data": values}
    return {"inputs": [tensor], **more}


def binary(images: Images = IMAGES, **more: Any) -> tuple[bytes, dict[str, str]]:
    """Returns a request with a binary tensor, and its header."""
    request = content([], images, **more)
    del request["inputs"][0]["data"]
    request["inputs"][0]["parameters"] = {"binary_data_size": images.size}
    head = json.dumps(request).encode()
    return head + images.tobytes(), {LENGTH: str(len(head))}


def post(server: Server, path: str, value: Any) -> Answer:
    return server.post(path, json.dumps(value).encode())


def rows(answer: Answer) -> Any:
    """Returns the probabilities (n, 10) of an answer, from its JSON or from the bytes behind it."""
    length = answer.headers.get(LENGTH.lower())
    head = answer.body if length is None else answer.body[: int(length)]
    (output,) = json.loads(head)["outputs"]
    if length is None:
        return np.array(output["data"], np.float32).reshape(output["shape"])
    assert answer.headers["content-type"] == OCTETS
    blob = answer.body[int(length) :]
    assert output["parameters"] == {"binary_data_size": len(blob)}
    return np.frombuffer(blob, "<f4").reshape(output["shape"])


def test_live_ready_and_the_servers_name(server: Server) -> None:
    assert check_ok(server.get("/v2/health/live")) == {"live": True}
    assert check_ok(server.get("/v2/health/ready")) == {"ready": True}
    for path in ("/v2", "/v2/"):
        found = check_ok(server.get(path))
        assert found.keys() == {"name", "version", "extensions"}
        assert found["name"] == "mnist-serve"
        assert set(found["extensions"]) == EXTENSIONS


@pytest.mark.parametrize("path", ["/v2/models/mnist", "/v2/models/mnist/versions/3"])
def test_metadata_name_the_tensors_and_the_versions(server: Server, path: str) -> None:
    assert check_ok(server.get(path)) == {
        "name": "mnist",
        "versions": ["1", "2", "3", "7"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}],
    }


@pytest.mark.parametrize("data", [IMAGES.ravel().tolist(), IMAGES.tolist()])
def test_json_in_json_out(server: Server, data: list[Any]) -> None:
    answer = post(server, INFER, content(data, id="a-1"))
    found = check_ok(answer)
    assert (found["model_name"], found["model_version"], found["id"]) == ("mnist", "2", "a-1")
    assert "id" not in check_ok(post(server, INFER, content(data)))
    assert np.array_equal(rows(answer), probabilities(server, IMAGES))


@pytest.mark.parametrize("content_type", [None, OCTETS, "application/x-www-form-urlencoded"])
def test_any_content_type_is_read_as_json(server: Server, content_type: str | None) -> None:
    answer = server.post(INFER, json.dumps(content()).encode(), content_type)
    assert np.array_equal(rows(answer), probabilities(server, IMAGES))


@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_binary_and_json_mix_in_both_directions(
    server: Server, binary_in: bool, binary_out: bool, named: bool
) -> None:
    more: dict[str, Any] = {"parameters": {"binary_data_output": binary_out}}
    if named:
        output = {"name": "probabilities", "parameters": {"binary_data": binary_out}}
        more = {"outputs": [output]}
    if binary_in:
        body, headers = binary(**more)
        answer = server.post(INFER, body, OCTETS, headers)
    else:
        answer = post(server, INFER, content(**more))
    assert answer.status == 200, answer.body
    assert (LENGTH.lower() in answer.headers) is binary_out
    assert np.array_equal(rows(answer), probabilities(server, IMAGES))


def test_a_raw_image_is_answered_in_binary(server: Server) -> None:
    answer = server.post(INFER, IMAGES[0].tobytes(), OCTETS, {LENGTH: "0"})
    assert LENGTH.lower() in answer.headers
    assert np.array_equal(rows(answer), probabilities(server, IMAGES[:1]))


def test_a_request_loads_and_runs_the_version_that_it_names(server: Server) -> None:
    for version in ("1", "2", "3"):
        answer = post(server, f"/v2/models/mnist/versions/{version}/infer", content())
        assert check_ok(answer)["model_version"] == version
        assert np.array_equal(rows(answer), probabilities(server, IMAGES, version))
        ready = check_ok(server.get(f"/v2/models/mnist/versions/{version}/ready"))
        assert ready == {"name": "mnist", "ready": True}


@pytest.mark.parametrize("compressed", [gzip.compress, zlib.compress])
def test_compressed_bodies_are_read(server: Server, compressed: Any) -> None:
    encoding = {"Content-Encoding": "gzip" if compressed is gzip.compress else "deflate"}
    answer = server.post(INFER, compressed(json.dumps(content()).encode()), None, encoding)
    assert np.array_equal(rows(answer), probabilities(server, IMAGES))
    body, headers = binary()
    answer = server.post(INFER, compressed(body), None, headers | encoding)
    assert np.array_equal(rows(answer), probabilities(server, IMAGES))


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_large_answer_is_compressed_on_request(server: Server, encoding: str) -> None:
    for is_binary in (False, True):
        parameters = {"binary_data_output": is_binary}
        body = json.dumps(content(None, digits()[:100], parameters=parameters)).encode()
        plain = server.post(INFER, body)
        small = server.post(INFER, body, headers={"Accept-Encoding": encoding})
        assert small.headers["content-encoding"] == encoding
        assert len(small.body) < len(plain.body)
        assert small.headers.get(LENGTH.lower()) == plain.headers.get(LENGTH.lower())
        whole = gzip.decompress if encoding == "gzip" else zlib.decompress
        assert whole(small.body) == plain.body
    few = server.post(INFER, json.dumps(content()).encode(), headers={"Accept-Encoding": encoding})
    assert "content-encoding" not in few.headers


def test_many_images_are_answered_in_their_order(server: Server) -> None:
    images = digits()[:1000]
    body, headers = binary(images)
    last = rows(server.post(INFER, body, OCTETS, headers))[996:]
    assert np.allclose(last, probabilities(server, images[996:]), atol=1e-6)


def test_the_most_likely_classes_are_named(server: Server) -> None:
    output = {"name": "probabilities", "parameters": {"classification": 2}}
    (found,) = check_ok(post(server, INFER, content(outputs=[output])))["outputs"]
    assert (found["datatype"], found["shape"]) == ("BYTES", [3, 2])
    texts = np.reshape(found["data"], (3, 2))
    for row, best in zip(probabilities(server, IMAGES), texts, strict=True):
        for text, digit in zip(best, np.argsort(-row)[:2], strict=True):
            assert text == f"{row[digit]!s}:{digit}:{digit}"


def nested(depth: int) -> Any:
    """Returns lists in lists."""
    value: Any = True
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("path", "value", "status", "told"),
    [
        (INFER, [], 400, "an object with inputs"),
        (INFER, content([0.5] * 2352), 400, "image: data[0] is 0.5; UINT8"),
        (INFER, content([1] * 2352), 400, "looks scaled to 0..1"),
        (INFER, content(parameters={"timeout": "1"}), 400, "timeout"),
        (INFER, content(parameters={"timeout": nested(300)}), 400, "timeout is a list"),
        (INFER, content(nested(300)), 400, "data has another form"),
        (INFER, content(outputs=[{"name": "x"}]), 400, '"probabilities", is expected'),
        ("/v2/models/other/infer", content(), 404, "unknown model: 'other' is not found"),
        ("/v2/models/mnist/versions/9/infer", content(), 404, "there is no version '9'"),
        ("/v2/models/mnist/versions/02/infer", content(), 404, "there is no version '02'"),
        ("/v2/models/mnist/versions/7/infer", content(), 503, "version 7 cannot be loaded"),
        ("/v2/nothing", content(), 404, "there is nothing at /v2/nothing"),
    ],
)
def test_errors_have_the_protocols_format(
    server: Server, path: str, value: Any, status: int, told: str
) -> None:
    check_error(post(server, path, value), status, told)


def test_other_errors_have_the_format_too(server: Server) -> None:
    check_error(server.post(INFER, b"{"), 400, "the body is not JSON")
    check_error(server.post(INFER, b""), 400, "the body is empty")
    check_error(server.post(INFER, b"{}", headers={LENGTH: "x"}), 400, LENGTH)
    check_error(server.post(INFER, b"{}", headers={"Content-Encoding": "br"}), 415, "gzip")
    check_error(server.post(INFER, b"{}", headers={"X-Request-Timeout-Ms": "x"}), 400, "Timeout")
    check_error(server.post(INFER, bytes(17 << 20)), 413, "larger")
    for path in (INFER, "/v2/models/mnist/versions/1/infer", "/v2/repository/index"):
        answer = server.get(path)
        check_error(answer, 405)
        assert answer.headers["allow"] == "POST"
    for path in ("/v2/models/other", "/v2/models/other/ready", "/v2/models/mnist/versions/9/stats"):
        check_error(server.get(path), 404)


def test_a_timeout_of_a_microsecond_expires(server: Server) -> None:
    check_error(post(server, INFER, content(parameters={"timeout": 1})), 504, "deadline")
    check_ok(post(server, INFER, content(parameters={"timeout": 0})))
    check_ok(post(server, INFER, content(parameters={"timeout": 9_000_000})))


def stats(server: Server, path: str) -> list[dict[str, Any]]:
    found = check_ok(server.get(path))
    assert found.keys() == {"model_stats"}
    entries: list[dict[str, Any]] = found["model_stats"]
    return entries


def test_statistics_count_requests_and_executions(server: Server) -> None:
    path = "/v2/models/mnist/versions/2/stats"
    (before,) = stats(server, path)
    for _ in range(4):
        check_ok(post(server, INFER, content()))
    server.post("/predict", IMAGES[0].tobytes(), OCTETS)
    server.post("/v1/models/mnist:predict", json.dumps({"instances": IMAGES.tolist()}).encode())
    post(server, INFER, content(parameters={"timeout": 1}))
    (after,) = stats(server, path)
    assert after["inference_count"] - before["inference_count"] == 4 * 3 + 1 + 3
    assert after["execution_count"] - before["execution_count"] == 6
    assert after["last_inference"] >= before["last_inference"]
    for name, count in {"success": 6, "fail": 1, "queue": 6, "compute_infer": 6}.items():
        was, now = before["inference_stats"][name], after["inference_stats"][name]
        assert now["count"] - was["count"] == count, name
        # A lone request does not wait in the queue.
        assert now["ns"] >= was["ns"] + (name != "queue"), name
    sizes = {batch["batch_size"]: batch["compute_infer"] for batch in after["batch_stats"]}
    assert sizes[3]["count"] >= 5
    assert sizes[3]["ns"] > 0
    everything = stats(server, "/v2/models/stats")
    assert [entry["version"] for entry in stats(server, "/v2/models/mnist/stats")] == [
        entry["version"] for entry in everything
    ]
    assert "2" in [entry["version"] for entry in everything]


@pytest.mark.parametrize("tail", ["", "/versions/1"])
def test_the_configuration_has_what_the_load_generator_reads(server: Server, tail: str) -> None:
    found = check_ok(server.get(f"/v2/models/mnist{tail}/config"))
    assert found["name"] == "mnist"
    assert found["max_batch_size"] == 4096
    tensor = {"name": "image", "data_type": "TYPE_UINT8", "dims": [28, 28]}
    assert found["input"] == [tensor | {"format": "FORMAT_NONE"}]
    assert found["output"] == [{"name": "probabilities", "data_type": "TYPE_FP32", "dims": [10]}]
    assert found["dynamic_batching"]["max_queue_delay_microseconds"] == 0
    assert "sequence_batching" not in found


def index(server: Server, body: bytes = b"", path: str = "/v2/repository/index") -> dict[str, Any]:
    entries = check_ok(server.post(path, body))
    assert all(e.keys() == {"name", "version", "state", "reason"} for e in entries)
    assert all(e["name"] == "mnist" for e in entries)
    return {e["version"]: (e["state"], e["reason"]) for e in entries}


@pytest.mark.slow
def test_versions_are_listed_loaded_and_unloaded(protocol_models: Path, tmp_path: Path) -> None:
    with serving(protocol_models, tmp_path / "log", *EVERYTHING) as server:
        assert index(server) == dict.fromkeys("1237", ("READY", ""))  # each answers when asked
        check_ok(server.get("/v2/models/mnist/versions/3/ready"))
        (idle,) = stats(server, "/v2/models/mnist/versions/3/stats")
        assert (idle["version"], idle["execution_count"]) == ("3", 0)
        assert len(stats(server, "/v2/models/mnist/stats")) == 1
        check_ok(post(server, "/v2/models/mnist/versions/3/infer", content()))
        check_error(post(server, "/v2/models/mnist/versions/7/infer", content()), 503, "SHA-256")
        found = index(server)
        assert found["3"] == ("READY", "")
        assert found["7"][0] == "UNAVAILABLE"
        assert "SHA-256" in found["7"][1]
        check_error(server.get("/v2/models/mnist/versions/7/ready"), 503, "SHA-256")
        for path in ("/v2/repository/index", "/v2/repository/local/index"):
            assert index(server, b'{"ready":true}', path).keys() == {"1", "2", "3"}
        check_error(server.post("/v2/repository/index", b'{"ready":1}'), 400, "ready")

        unload = "/v2/repository/models/mnist/unload"
        check_error(server.post(unload, b""), 400, "version 2 is the champion")
        named = {"parameters": {"version": "2"}}
        check_error(post(server, unload, named), 400, "version 2 is the champion")
        check_error(post(server, unload, {"parameters": {"version": "9"}}), 404, "no version '9'")
        check_error(post(server, unload, {"parameters": {"version": 3}}), 400, "version is 3; a")
        check_error(post(server, unload, {"parameters": []}), 400, "parameters is a list")
        for path in (unload, "/v2/repository/local/models/mnist/unload"):
            check_ok(post(server, path, {"parameters": {"version": "3"}}))
        assert len(stats(server, "/v2/models/mnist/stats")) == 1
        check_ok(post(server, "/v2/models/mnist/versions/3/infer", content()))
        assert index(server, b'{"ready":true}').keys() == {"1", "2", "3"}
        check_error(server.post("/v2/repository/models/other/unload", b""), 404, "model: 'other'")


@pytest.mark.slow
def test_load_reads_the_champion_file_at_once(tmp_path: Path) -> None:
    models = tiny_repository(tmp_path / "models", versions=(1, 2), champion=1)
    load = "/v2/repository/models/mnist/load"
    with serving(models, tmp_path / "log", *EVERYTHING) as server:
        for version in ("2", "1"):
            (models / "mnist" / "champion").write_text(f"{version}\n")
            check_ok(server.post(load, b""))
            assert check_ok(post(server, INFER, content()))["model_version"] == version
        for name in ("config", "file:1/model.onnx"):
            refused = post(server, load, {"parameters": {name: "{}"}})
            check_error(refused, 400, f"{name}: would overwrite files")
        refused = post(server, load, {"parameters": {"version": "2"}})
        check_error(refused, 400, "version: is set by the champion file")
        (models / "mnist" / "champion").write_text("9\n")
        check_error(server.post(load, b"{}"), 503, "version 1 keeps serving: version 9")
        assert check_ok(post(server, INFER, content()))["model_version"] == "1"
        check_error(server.post("/v2/repository/models/other/load", b""), 404, "model: 'other'")
        wait_until(lambda: "keeps serving" in server.stderr())


@pytest.mark.slow
def test_during_the_drain_readiness_is_503_and_every_request_is_answered(
    protocol_models: Path, tmp_path: Path
) -> None:
    with serving(protocol_models, tmp_path / "log", "--drain-delay-s", "5") as server:
        server.process.terminate()
        wait_until(lambda: server.get("/v2/health/ready").status == 503)
        check_error(server.get("/v2/health/ready"), 503, "draining")
        check_error(server.get("/v2/models/mnist/ready"), 503, "draining")
        check_ok(server.get("/v2/health/live"))
        check_ok(post(server, INFER, content()))


def test_whole_numbers_may_be_written_as_floats(server: Server) -> None:
    """The protocol's own generated client writes all numbers so, in short and in long bodies."""
    for images in (IMAGES, np.repeat(IMAGES, 60, axis=0)):
        plain = content(images=images)
        floats = content(images=images)
        tensor = floats["inputs"][0]
        tensor["data"] = np.array(tensor["data"], np.float64).reshape(-1).tolist()
        expected = check_ok(post(server, INFER, plain))["outputs"]
        assert check_ok(post(server, INFER, floats))["outputs"] == expected
        tensor["data"][3] += 0.5
        check_error(post(server, INFER, floats), 400, "whole numbers from 0 to 255")


def test_the_models_are_listed(server: Server) -> None:
    assert check_ok(server.get("/v2/models")) == {"models": ["mnist"]}
