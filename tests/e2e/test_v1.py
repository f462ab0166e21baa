"""TensorFlow Serving's REST interface, with hand-written requests."""

from __future__ import annotations

import base64
import gzip
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.problems import check_error, check_ok
from tests.server import Answer, Server, probabilities
from tests.service.decode.samples import digits

IMAGES = digits()[:2]
ROWS = IMAGES.tolist()
B64 = [{"b64": base64.b64encode(image.tobytes()).decode()} for image in IMAGES]
PREDICT = "/v1/models/mnist:predict"


def post(server: Server, path: str, **content: Any) -> Answer:
    return server.post(path, json.dumps(content).encode())


@pytest.mark.parametrize("items", [ROWS, [{"image": row} for row in ROWS], B64, [ROWS[0], B64[1]]])
def test_rows_are_answered_with_predictions(server: Server, items: list[Any]) -> None:
    found = check_ok(post(server, PREDICT, instances=items, signature_name="serving_default"))
    assert found.keys() == {"predictions"}
    assert np.array_equal(np.array(found["predictions"], np.float32), probabilities(server, IMAGES))


@pytest.mark.parametrize("column", [ROWS, {"image": ROWS}, {"image": B64}])
def test_columns_are_answered_with_outputs(server: Server, column: Any) -> None:
    found = check_ok(post(server, PREDICT, inputs=column))
    assert found.keys() == {"outputs"}
    assert np.array_equal(np.array(found["outputs"], np.float32), probabilities(server, IMAGES))


def test_examples_are_answered_with_labels_and_scores(server: Server) -> None:
    examples = [{"image": row} for row in ROWS]
    found = check_ok(post(server, "/v1/models/mnist:classify", examples=examples))
    assert found.keys() == {"results"}
    for pairs, row in zip(found["results"], probabilities(server, IMAGES), strict=True):
        assert [label for label, _ in pairs] == list("0123456789")
        assert np.array_equal(np.array([score for _, score in pairs], np.float32), row)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_any_content_type_is_read_as_json(server: Server, content_type: str | None) -> None:
    body = json.dumps({"instances": ROWS, "more": 1}).encode()
    check_ok(server.post(PREDICT, body, content_type))
    check_ok(server.post(PREDICT, gzip.compress(body), content_type, {"Content-Encoding": "gzip"}))


@pytest.mark.parametrize(
    ("tail", "version"),
    [("versions/1", "1"), ("versions/2", "2"), ("versions/3", "3"), ("labels/champion", "2")],
)
def test_a_request_runs_the_version_that_it_names(server: Server, tail: str, version: str) -> None:
    path = f"/v1/models/mnist/{tail}"
    found = check_ok(post(server, f"{path}:predict", instances=ROWS))["predictions"]
    assert np.array_equal(np.array(found, np.float32), probabilities(server, IMAGES, version))
    check_ok(post(server, f"{path}:classify", examples=ROWS))
    (status,) = check_ok(server.get(path))["model_version_status"]
    assert (status["version"], status["state"]) == (version, "AVAILABLE")
    assert check_ok(server.get(f"{path}/metadata"))["model_spec"]["version"] == version


def test_status_lists_the_champion_first(server: Server) -> None:
    check_error(post(server, "/v1/models/mnist/versions/7:predict", instances=ROWS), 503, "SHA-256")
    found = check_ok(server.get("/v1/models/mnist"))["model_version_status"]
    assert [entry["version"] for entry in found] == ["2", "7", "3", "1"]
    fine = {"error_code": "OK", "error_message": ""}
    assert found[0] == {"version": "2", "state": "AVAILABLE", "status": fine}
    assert found[1]["state"] == "END"
    assert found[1]["status"]["error_code"] == "FAILED_PRECONDITION"
    assert "SHA-256" in found[1]["status"]["error_message"]


@pytest.mark.parametrize(("tail", "version"), [("", "2"), ("/versions/3", "3")])
def test_metadata_show_the_signature(server: Server, tail: str, version: str) -> None:
    found = check_ok(server.get(f"/v1/models/mnist{tail}/metadata"))
    spec = {"name": "mnist", "signature_name": "", "version": version}
    assert found["model_spec"] == spec
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    image, probabilities = signature["inputs"]["image"], signature["outputs"]["probabilities"]
    assert (image["dtype"], probabilities["dtype"]) == ("DT_UINT8", "DT_FLOAT")
    assert [dim["size"] for dim in image["tensor_shape"]["dim"]] == ["-1", "28", "28"]
    assert [dim["size"] for dim in probabilities["tensor_shape"]["dim"]] == ["-1", "10"]


def test_the_models_are_listed_by_name(server: Server) -> None:
    assert check_ok(server.get("/v1/models")) == {"models": ["mnist"]}


@pytest.mark.parametrize(
    ("path", "content", "status", "told"),
    [
        (PREDICT, {}, 400, '"instances" or "inputs"'),
        (PREDICT, {"instances": [[1]]}, 400, "image 0: "),
        (PREDICT, {"instances": [[1] * 784]}, 400, "looks scaled to 0..1"),
        (PREDICT, {"instances": ROWS, "signature_name": "x"}, 400, "signature_name"),
        ("/v1/models/mnist:regress", {"examples": ROWS}, 400, "the model has no 'regress'"),
        (
            "/v1/models/mnist/versions/2:regress",
            {},
            400,
            "'classify' and 'explain'",
        ),
        ("/v1/models/mnist/labels/champion:train", {}, 400, "the model has no 'train'"),
        ("/v1/models/other:regress", {}, 404, "Servable not found for request: Latest(other)"),
        ("/v1/models/other:predict", {"instances": ROWS}, 404, "request: Latest(other)"),
        ("/v1/models/other/versions/2:predict", {"instances": ROWS}, 404, "Specific(other, 2)"),
        ("/v1/models/mnist/versions/9:predict", {"instances": ROWS}, 404, "no version '9'"),
        ("/v1/models/mnist/versions/x:predict", {"instances": ROWS}, 404, "no version 'x'"),
        ("/v1/models/mnist/labels/x:predict", {"instances": ROWS}, 404, "no label 'x'"),
        ("/v1/models/mnist/labels/x:classify", {"examples": ROWS}, 404, "no label 'x'"),
    ],
)
def test_errors_have_tensorflow_servings_format(
    server: Server, path: str, content: dict[str, Any], status: int, told: str
) -> None:
    check_error(post(server, path, **content), status, told)


def test_other_errors_have_the_format_too(server: Server) -> None:
    check_error(server.post(PREDICT, b'{"instances": [NaN]}'), 400, "the body is not JSON")
    check_error(server.post(PREDICT, b""), 400, "the body is empty")
    check_error(server.post(PREDICT, b"{}", headers={"Content-Encoding": "br"}), 415, "gzip")
    for tail in ("other", "mnist/versions/9", "mnist/labels/x", "mnist/versions/9/metadata", ""):
        check_error(server.get(f"/v1/models/{tail}"), 404)
    model = "/v1/models/mnist"
    for path in (PREDICT, f"{model}/versions/2:predict", f"{model}/labels/champion:classify"):
        answer = server.get(path)
        check_error(answer, 405)
        assert answer.headers["allow"] == "POST"
    late = {"X-Request-Timeout-Ms": "0.001"}
    body = json.dumps({"instances": ROWS}).encode()
    check_error(server.post(PREDICT, body, headers=late), 504, "deadline")


def test_images_may_have_a_channel_axis(server: Server) -> None:
    with_channel = {"instances": IMAGES[..., None].tolist()}
    expected = check_ok(post(server, PREDICT, instances=ROWS))
    assert check_ok(post(server, PREDICT, **with_channel)) == expected
    assert check_ok(post(server, PREDICT, instances=[{"image": r} for r in ROWS])) == expected


def test_base64_may_hold_a_picture(server: Server) -> None:
    """A grey picture of 28x28 with a dark border is taken bit for bit."""
    framed = np.pad(IMAGES[:1, 4:-4, 4:-4], ((0, 0), (4, 4), (4, 4)))
    out = io.BytesIO()
    Image.fromarray(framed[0]).save(out, "PNG")
    picture = {"b64": base64.b64encode(out.getvalue()).decode()}
    expected = check_ok(post(server, PREDICT, instances=framed.tolist()))
    assert check_ok(post(server, PREDICT, instances=[picture])) == expected
    bad = {"b64": base64.b64encode(b"GIF89a").decode()}
    check_error(post(server, PREDICT, instances=[bad]), 400, "784 raw bytes nor a picture")


def test_kserves_clients_find_what_they_ask_for(server: Server) -> None:
    assert check_ok(server.get("/v1/models/mnist"))["ready"] is True
    assert server.get("/", {"Accept": "application/json"}).json() == {"status": "alive"}
    assert server.get("/", {"Accept": "text/html"}).body.startswith(b"<!doctype html>")
    assert b"mnist_requests_total" in server.get("/monitoring/prometheus/metrics").body


def test_unknown_models_are_told_in_tensorflow_servings_words(server: Server) -> None:
    check_error(server.get("/v1/models/x"), 404, "Could not find any versions of model x")
    check_error(
        server.get("/v1/models/x/metadata"), 404, "Servable not found for request: Latest(x)"
    )
