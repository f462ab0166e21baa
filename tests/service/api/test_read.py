"""``POST /read`` over a real server with the committed champion."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import numpy as np
import orjson
import pytest
from PIL import Image

from tests.server import Server, serving
from tests.service.decode.samples import BOUNDARY, form
from tests.service.imaging.champion import MODELS
from tests.service.imaging.composed import as_picture, composed, text_of

PNG = {"Content-Type": "image/png"}
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(MODELS, tmp_path_factory.mktemp("log") / "stderr") as running:
        yield running


def file_of(chosen: list[int], *, touching: bool = False) -> bytes:
    gaps = None if touching else [6] * (len(chosen) - 1)
    strip = composed(chosen, gaps, np.random.default_rng(0))
    file = io.BytesIO()
    Image.fromarray(as_picture(strip).grey).save(file, "PNG")
    return file.getvalue()


CHOSEN = [0, 1, 2, 3, 4]


def test_a_number_is_read_with_the_place_of_each_digit(champion: Server) -> None:
    answer = champion.request("POST", "/read", file_of(CHOSEN), PNG)
    assert answer.status == 200
    read = answer.json()
    assert set(read) == {"text", "digits"}
    assert read["text"] == text_of(CHOSEN)
    assert [digit["digit"] for digit in read["digits"]] == [int(d) for d in read["text"]]
    lefts = [digit["box"][0] for digit in read["digits"]]
    assert lefts == sorted(lefts)
    assert all(0.5 < digit["confidence"] <= 1 for digit in read["digits"])


def test_every_way_to_send_a_picture_reads_the_same(champion: Server) -> None:
    body = file_of(CHOSEN)
    text = base64.b64encode(body).decode()
    sent = [
        (body, PNG),
        (orjson.dumps({"pictures": [text]}), {"Content-Type": "application/json"}),
        (
            form(("files", body)),
            {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        ),
    ]
    answers = [champion.request("POST", "/read", *one) for one in sent]
    assert answers[0].json()["text"] == text_of(CHOSEN)
    assert answers[0].body == answers[1].body == answers[2].body


def test_digits_that_touch_are_read_in_pieces_by_a_second_batch(champion: Server) -> None:
    answer = champion.request("POST", "/read", file_of([0, 2], touching=True), PNG)
    assert (answer.status, answer.json()["text"]) == (200, text_of([0, 2]))
    timing = answer.headers["server-timing"]
    assert all(part in timing for part in ("decode", "queue", "infer", "total"))


def test_a_blank_sheet_has_an_empty_text(champion: Server) -> None:
    file = io.BytesIO()
    Image.new("L", (300, 200), 240).save(file, "PNG")
    answer = champion.request("POST", "/read", file.getvalue(), PNG)
    assert (answer.status, answer.json()) == (200, {"text": "", "digits": []})


def test_an_array_is_no_picture(champion: Server) -> None:
    """Whatever its length: the message says what /read accepts."""
    for length, headers in ((784, OCTETS), (100, OCTETS), (100, {})):
        answer = champion.request("POST", "/read", bytes(length), headers)
        assert answer.status == 415
        assert "a number is read in a picture; send one of image/*" in answer.json()["detail"]


def test_a_number_is_read_in_one_picture(champion: Server) -> None:
    text = base64.b64encode(file_of(CHOSEN)).decode()
    body = orjson.dumps({"pictures": [text, text]})
    answer = champion.request("POST", "/read", body, {"Content-Type": "application/json"})
    assert answer.status == 422
    assert "2 pictures; a number is read in one" in answer.json()["detail"]


def test_a_damaged_picture_is_malformed(champion: Server) -> None:
    assert champion.request("POST", "/read", b"\x89PNG", PNG).status == 400
