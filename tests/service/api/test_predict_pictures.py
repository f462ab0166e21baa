"""Pictures over a real server: the same answer for every body, and hostile ones within bounds."""

from __future__ import annotations

import base64
import io
import threading
import time
from typing import Any

import numpy as np
import orjson
import pytest
from PIL import Image

from service.types import Images
from tests.corpus.digits import mnist
from tests.corpus.kinds import photo_12mp, scan
from tests.server import Server
from tests.service.decode.samples import BOUNDARY, digits, form, picture
from tests.service.imaging.files import png_of_size

SHAPE = mnist(1, seed=3)[0]
SCAN = scan(SHAPE, np.random.default_rng(0))


def test_every_body_with_a_picture_gets_the_same_answer(champion: Server) -> None:
    alone = champion.post("/predict?include=seen", SCAN, "image/png")
    assert alone.status == 200
    (prediction,) = alone.json()["predictions"]
    assert prediction["digit"] == SHAPE.label
    text = base64.b64encode(SCAN).decode()
    for body, content_type in (
        (orjson.dumps({"pictures": [text]}), "application/json"),
        (form(("files", SCAN)), f"multipart/form-data; boundary={BOUNDARY}"),
        (SCAN, "image/jpeg"),  # the content decides
    ):
        assert champion.post("/predict?include=seen", body, content_type).body == alone.body


def seen_in(champion: Server, body: bytes, content_type: str) -> tuple[dict[str, Any], Images]:
    """What the answer says that the model saw, and the image in it."""
    answer = champion.post("/predict?include=seen", body, content_type).json()
    seen = answer["predictions"][0]["seen"]
    return seen, np.asarray(Image.open(io.BytesIO(base64.b64decode(seen["png"]))))


def test_include_seen_adds_what_the_model_saw(champion: Server) -> None:
    (unasked,) = champion.post("/predict", SCAN, "image/png").json()["predictions"]
    assert "seen" not in unasked
    seen, shown = seen_in(champion, SCAN, "image/png")
    assert set(seen) == {"png", "box", "polarity", "stroke_width"}
    assert seen["polarity"] == "dark on light"
    raw = champion.post("/predict", shown.tobytes(), "application/octet-stream").json()
    assert raw["predictions"][0]["probabilities"] == unasked["probabilities"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (digits()[0].tobytes(), "application/octet-stream"),
        (orjson.dumps({"images": [digits()[0].tolist()]}), "application/json"),
        (picture(index=0), "image/png"),
    ],
)
def test_an_array_and_a_picture_in_mnist_s_form_are_as_given(
    champion: Server, body: bytes, content_type: str
) -> None:
    seen, shown = seen_in(champion, body, content_type)
    assert (seen["polarity"], seen["box"]) == ("as given", None)
    assert np.array_equal(shown, digits()[0])


def test_the_documented_examples_are_read(champion: Server) -> None:
    document = champion.get("/openapi.json").json()

    def examples(path: str) -> list[bytes]:
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        return [orjson.dumps(example["value"]) for example in body["examples"].values()]

    for example in examples("/predict"):
        (prediction,) = champion.post("/predict", example).json()["predictions"]
        assert (prediction["digit"], prediction["doubts"]) == (1, [])
    for example in examples("/read"):
        assert champion.post("/read", example).json()["text"] == "1"


@pytest.mark.parametrize("include", ["", "all", "Seen", "seen,seen"])
def test_another_include_is_rejected(champion: Server, include: str) -> None:
    answer = champion.post(f"/predict?include={include}", SCAN, "image/png")
    assert answer.status == 422
    known = "Input should be 'seen', 'why', 'seen,why' or 'why,seen'"
    assert answer.json()["detail"] == f"include: {include!r}: {known}"


HOSTILE = {
    "a bomb over the limits": (png_of_size(16_000, 16_000), 413),
    "an absurd size": (png_of_size(2**31 - 1, 2**31 - 1), 413),
    "no pixels": (png_of_size(0, 0), 400),
    "cut short": (SCAN[: len(SCAN) // 2], 400),
    "with a program behind it": (SCAN + b"PK\x03\x04" + bytes(1000), 400),
    "a page": (b"<html><script>alert(1)</script></html>", 400),
    "a drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
    "a document": (b"%PDF-1.7 " + bytes(100), 415),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(100), 400),
    "nothing": (b"", 400),
    "many scans": (picture("JPEG") + b"\xff\xda\x00\x08" * 500, 400),
}


@pytest.mark.alone
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_picture_is_rejected_within_100_ms(champion: Server, name: str) -> None:
    body, status = HOSTILE[name]
    took = []
    for _ in range(3):
        start = time.perf_counter()
        answer = champion.post("/predict", body, "image/png")
        took.append(time.perf_counter() - start)
        assert answer.status == status
        assert answer.json()["status"] == status
    assert min(took) < 0.1


@pytest.mark.alone
def test_a_photo_does_not_keep_other_requests_waiting(champion: Server) -> None:
    """The service answers health checks while it reads photos of 12 megapixels."""
    photo = photo_12mp(SHAPE, np.random.default_rng(0))
    waits = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            start = time.perf_counter()
            champion.get("/health/live")
            waits.append(time.perf_counter() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(5):
            assert champion.post("/predict", photo, "image/jpeg").status == 200
    finally:
        done.set()
        watcher.join()
    assert len(waits) > 20
    assert float(np.median(waits)) < 0.03
