"""``POST /read`` over a real server with the committed champion."""

from __future__ import annotations

import base64
import io

import numpy as np
import orjson
import pytest
from PIL import Image

from tests.server import Server
from tests.service.decode.samples import BOUNDARY, form
from tests.service.imaging.composed import as_picture, composed, text_of

OCTETS = "application/octet-stream"


def file_of(chosen: list[int], *, touching: bool = False) -> bytes:
    gaps = None if touching else [6] * (len(chosen) - 1)
    strip = composed(chosen, gaps, np.random.default_rng(0))
    file = io.BytesIO()
    Image.fromarray(as_picture(strip).grey).save(file, "PNG")
    return file.getvalue()


CHOSEN = [0, 1, 2, 3, 4]


def test_a_number_is_read_with_the_place_of_each_digit(champion: Server) -> None:
    answer = champion.post("/read", file_of(CHOSEN), "image/png")
    assert answer.status == 200
    read = answer.json()
    assert set(read) == {"text", "digits"}
    assert read["text"] == text_of(CHOSEN)
    assert [digit["digit"] for digit in read["digits"]] == [int(d) for d in read["text"]]
    lefts = [digit["box"][0] for digit in read["digits"]]
    assert lefts == sorted(lefts)
    assert all(0.5 < digit["confidence"] <= 1 for digit in read["digits"])


def test_the_probabilities_of_each_digit_come_when_asked_for(champion: Server) -> None:
    body = file_of(CHOSEN)
    digits = champion.post("/read?include=probabilities", body, "image/png").json()["digits"]
    for digit in digits:
        assert max(digit["probabilities"]) == digit["confidence"]
        assert digit["probabilities"].index(digit["confidence"]) == digit["digit"]
    assert champion.post("/read?include=why", body, "image/png").status == 422


def test_every_way_to_send_a_picture_reads_the_same(champion: Server) -> None:
    body = file_of(CHOSEN)
    sent = [
        (body, "image/png"),
        (orjson.dumps({"pictures": [base64.b64encode(body).decode()]}), "application/json"),
        (form(("files", body)), f"multipart/form-data; boundary={BOUNDARY}"),
    ]
    answers = [champion.post("/read", *one) for one in sent]
    assert answers[0].json()["text"] == text_of(CHOSEN)
    assert answers[0].body == answers[1].body == answers[2].body


def test_digits_that_touch_are_read_in_pieces_by_a_second_batch(champion: Server) -> None:
    answer = champion.post("/read", file_of([0, 2], touching=True), "image/png")
    assert (answer.status, answer.json()["text"]) == (200, text_of([0, 2]))
    timing = answer.headers["server-timing"]
    assert all(part in timing for part in ("decode", "queue", "infer", "total"))


def test_a_blank_sheet_has_an_empty_text(champion: Server) -> None:
    file = io.BytesIO()
    Image.new("L", (300, 200), 240).save(file, "PNG")
    answer = champion.post("/read", file.getvalue(), "image/png")
    assert (answer.status, answer.json()) == (200, {"text": "", "digits": []})


TWO = orjson.dumps({"pictures": 2 * [base64.b64encode(file_of(CHOSEN)).decode()]})


@pytest.mark.parametrize(
    ("status", "text", "body", "content_type"),
    [
        # Whatever the length of an array, the message says what /read accepts.
        *(
            (415, "a number is read in a picture; send image/*", bytes(length), content_type)
            for length, content_type in ((784, OCTETS), (100, OCTETS), (100, None))
        ),
        (422, "2 pictures; a number is read in one", TWO, "application/json"),
        (400, "", b"\x89PNG", "image/png"),
    ],
    ids=["an array", "a short array", "no type", "two pictures", "a damaged picture"],
)
def test_a_number_is_read_in_one_whole_picture(
    champion: Server, status: int, text: str, body: bytes, content_type: str | None
) -> None:
    answer = champion.post("/read", body, content_type)
    assert answer.status == status
    assert text in answer.json()["detail"]
    assert ("errors" in answer.json()) == (status == 422)
