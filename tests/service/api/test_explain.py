"""The reasons of an answer, over a real server."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.digits import as_json, as_picture
from tests.server import Server, serving
from tests.service.imaging.champion import MODELS
from tests.service.reasons.mnist import digits

OCTETS = "application/octet-stream"
SEVEN = digits(1)[0]


def picture(png: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


def confidence(server: Server, image: Any, digit: int, version: str | None = None) -> float:
    target = "/predict" + (f"?version={version}" if version else "")
    answer = server.post(target, image.tobytes(), OCTETS).json()
    return float(answer["predictions"][0]["probabilities"][digit])


def test_the_attributions_of_why_sum_to_the_confidence_minus_the_base(server: Server) -> None:
    images = digits(3)
    answer = server.post("/predict?include=why", images.tobytes(), OCTETS)
    plain = server.post("/predict", images.tobytes(), OCTETS).json()["predictions"]
    assert answer.status == 200
    blank = np.zeros_like(images[0])
    for one, alone, image in zip(answer.json()["predictions"], plain, images, strict=True):
        why = one.pop("why")
        assert one == alone
        values = np.array(why["attributions"])
        assert values.shape == (28, 28)
        assert values.sum() == pytest.approx(one["confidence"] - why["base"], abs=1e-5)
        assert why["base"] == pytest.approx(confidence(server, blank, one["digit"]), abs=1e-5)
        assert not values[image == 0].any()
        assert picture(why["png"]).shape == (28, 28, 4)
        assert why["method"] == "Shapley values of 8 patches, from 128 coalitions"


@pytest.mark.parametrize("include", ["seen,why", "why,seen"])
def test_what_was_seen_and_why_come_together(server: Server, include: str) -> None:
    (one,) = server.post(f"/predict?include={include}", as_picture(SEVEN), "image/png").json()[
        "predictions"
    ]
    assert np.array_equal(picture(one["seen"]["png"]), SEVEN)
    assert set(one["why"]) == {"attributions", "base", "method", "png"}


def test_explain_gives_the_reasons_of_one_answer(champion: Server) -> None:
    answer = champion.post("/explain", as_picture(SEVEN), "image/png")
    assert answer.status == 200
    found = answer.json()
    assert (found["model"], found["digit"]) == ("mnist", 7)
    values, errors = np.array(found["attributions"]), np.array(found["standard_error"])
    assert values.sum() == pytest.approx(found["confidence"] - found["base"], abs=1e-5)
    assert errors.shape == (28, 28)
    assert 0 < errors.max() < values.max()
    other = found["otherwise"]
    assert other["digit"] != 7
    changed = picture(other["png"])
    again = confidence(champion, changed, other["digit"])
    assert again == pytest.approx(other["confidence"], abs=1e-5)
    assert again >= 0.5
    ink = np.abs(changed.astype(float) - SEVEN).sum() / 255
    assert other["changed"] == pytest.approx(ink, abs=0.01)
    nearest = found["nearest"]
    assert len(nearest) == 5
    assert [one["label"] for one in nearest] == [7] * 5
    apart = [
        float(np.linalg.norm((picture(n["png"]).astype(float) - SEVEN) / 255)) for n in nearest
    ]
    assert [one["distance"] for one in nearest] == pytest.approx(apart, abs=1e-3)
    assert apart == sorted(apart)


def test_the_same_image_has_the_same_reasons_in_every_format(champion: Server) -> None:
    sent = [
        (SEVEN.tobytes(), OCTETS),
        (as_json(SEVEN[None]), "application/json"),
        (as_picture(SEVEN), "image/png"),
    ]
    assert len({champion.post("/explain", *one).body for one in sent}) == 1


@pytest.mark.parametrize("other", ["1", "9"])
def test_against_names_the_other_digit(champion: Server, other: str) -> None:
    found = champion.post(f"/explain?against={other}", SEVEN.tobytes(), OCTETS).json()
    assert found["otherwise"]["digit"] == int(other)


def test_against_the_digit_itself_there_is_nothing_otherwise(champion: Server) -> None:
    assert champion.post("/explain?against=7", SEVEN.tobytes(), OCTETS).json()["otherwise"] is None


def test_each_row_of_v1_has_the_same_reasons_beside_its_prediction(champion: Server) -> None:
    images = digits(2)
    target, body = "/v1/models/mnist:explain", {"instances": images.tolist()}
    answer = champion.post(f"{target}?against=3", json.dumps(body).encode()).json()
    plain = champion.post("/v1/models/mnist:predict", json.dumps(body).encode()).json()
    assert answer["predictions"] == plain["predictions"]
    own = champion.post("/explain?against=3", images[1].tobytes(), OCTETS).json()
    assert answer["explanations"][1]["digit"] == own["digit"]
    assert answer["explanations"][1]["nearest"] == own["nearest"]
    assert set(answer["explanations"][0]) == set(own) - {"model", "version"}


def test_a_blank_image_has_no_reasons(server: Server) -> None:
    found = server.post("/explain", bytes(784), OCTETS).json()
    assert not np.any(found["attributions"])
    assert not np.any(found["standard_error"])
    assert found["base"] == pytest.approx(found["confidence"])


@pytest.mark.parametrize(
    ("target", "body", "status", "message"),
    [
        ("/explain?against=ten", SEVEN.tobytes(), 422, "against: 'ten': Input should"),
        ("/explain?against=10", SEVEN.tobytes(), 422, "less than or equal to 9"),
        ("/explain?against=", SEVEN.tobytes(), 422, "against: '': "),
        ("/explain?against=%D9%A3", SEVEN.tobytes(), 422, "valid integer"),
        ("/explain", SEVEN.tobytes() * 2, 422, "2 images; one is explained at a time"),
        ("/explain", b"", 400, "empty"),
        ("/explain?version=99", SEVEN.tobytes(), 404, "there is no version '99'"),
        ("/predict?include=why", SEVEN.tobytes() * 65, 413, "at most 64 are explained"),
        ("/layers", SEVEN.tobytes() * 2, 422, "2 images; one is explained at a time"),
        ("/layers", b"", 400, "empty"),
        ("/layers?version=99", SEVEN.tobytes(), 404, "there is no version '99'"),
        ("/explain?include=seen", SEVEN.tobytes(), 422, "include: unknown query parameter"),
        ("/explain?version=1&version=2", SEVEN.tobytes(), 422, "version: the query parameter"),
    ],
)
def test_bad_requests_are_refused(
    server: Server, target: str, body: bytes, status: int, message: str
) -> None:
    answer = server.post(target, body, OCTETS)
    problem = answer.json()
    assert (answer.status, message in problem["detail"]) == (status, True), answer.body
    # What is well-formed and wrong is named, also where it is no image.
    assert ("errors" in problem) == (status == 422)


def test_v1_refuses_an_other_that_is_no_digit_and_too_many_rows(server: Server) -> None:
    body = json.dumps({"instances": [SEVEN.tolist()] * 65}).encode()
    many = server.post("/v1/models/mnist:explain", body)
    assert (many.status, "at most 64" in many.json()["error"]) == (413, True)
    wrong = server.post("/v1/models/mnist:explain?against=x", body)
    assert (wrong.status, "against: 'x': " in wrong.json()["error"]) == (400, True)


def test_too_many_images_are_refused_before_they_are_classified(server: Server) -> None:
    before = server.metric("mnist_batch_size_count")
    body = json.dumps({"instances": [SEVEN.tolist()] * 65}).encode()
    assert server.post("/v1/models/mnist:explain", body).status == 413
    assert server.post("/predict?include=why", SEVEN.tobytes() * 65, OCTETS).status == 413
    assert server.metric("mnist_batch_size_count") == before


def test_reasons_that_come_too_late_are_a_504(champion: Server) -> None:
    headers = {"X-Request-Timeout-Ms": "5"}
    answer = champion.post("/explain", SEVEN.tobytes(), OCTETS, headers)
    assert answer.status == 504


def test_an_explanation_spends_the_rate_but_is_never_refused_half_way(tmp_path: Path) -> None:
    with serving(MODELS, tmp_path / "log", "--rate", "50") as server:
        assert server.post("/predict?include=why", SEVEN.tobytes() * 3, OCTETS).status == 200
        refused = server.post("/explain", SEVEN.tobytes(), OCTETS)
        assert (refused.status, int(refused.headers["retry-after"]) > 5) == (429, True)


def test_layers_shows_the_maps_of_one_image_and_counts_no_answer(champion: Server) -> None:
    plain = champion.post("/predict", SEVEN.tobytes(), OCTETS).json()["predictions"][0]
    before = champion.metric("mnist_batch_size_count")
    answer = champion.post("/layers", as_picture(SEVEN), "image/png")
    found = answer.json()
    assert (found["model"], found["digit"], found["confidence"]) == (
        *("mnist", 7),
        plain["confidence"],
    )
    assert len(found["layers"]) == 6
    for layer in found["layers"]:
        assert layer["png"]
        assert picture(layer["png"]).shape == (layer["shown"] * layer["height"], layer["width"])
        assert layer["rounding"]["scale"] > 0
    assert len(answer.body) < 40_000
    assert champion.metric("mnist_batch_size_count") == before
    assert champion.post("/layers?version=1", SEVEN.tobytes(), OCTETS).json()["layers"] == []
    assert champion.post("/layers", SEVEN.tobytes(), OCTETS).json() == found
