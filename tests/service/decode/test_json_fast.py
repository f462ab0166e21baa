"""The reader of whole numbers: what it reads is what a JSON parser reads, or it reads nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.decode.json_fast import read_digits
from service.types import Images
from tests.service.decode.samples import digits


def spaced(value: object) -> bytes:
    return json.dumps(value).encode()


def indented(value: object) -> bytes:
    return json.dumps(value, indent="\t").encode()


def read(items: bytes, *, nested: bool) -> Images | None:
    """Reads the items between a beginning and an end as in a body."""
    lead = b'{"images":['
    return read_digits(lead + items + b"]}", len(lead), len(lead) + len(items), nested=nested)


@pytest.mark.parametrize("dump", [orjson.dumps, spaced, indented])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_reads_what_was_written(dump: Callable[[object], bytes], nested: bool, count: int) -> None:
    images = digits()[:count]
    text = dump((images if nested else images.reshape(count, 784)).tolist())[1:-1]
    read_back = read(text, nested=nested)
    assert read_back is not None
    assert read_back.dtype == np.uint8
    assert np.array_equal(read_back, images)


def test_reads_every_value_from_0_to_255() -> None:
    image = (np.arange(784) % 256).astype(np.uint8)
    read_back = read(orjson.dumps([image.tolist()])[1:-1], nested=False)
    assert read_back is not None
    assert np.array_equal(read_back.ravel(), image)


PLAIN = orjson.dumps([digits()[0].ravel().tolist()])[1:-1]
assert PLAIN.startswith(b"[0,0,0,")


@pytest.mark.parametrize(
    "start",
    [
        b"[256,0,0,",
        b"[999,0,0,",
        b"[1000,0,0,",
        b"[1234,0,0,",
        b"[00,0,0,",
        b"[01,0,0,",
        b"[001,0,0,",
        b"[010,0,0,",
        b"[-1,0,0,",
        b"[-0,0,0,",
        b"[1.5,0,0,",
        b"[1e1,0,0,",
        b'["1",0,0,',
        b"[1 2,0,0,",
        b"[1\x0b,0,0,",
        b"[,0,0,0,",
        b"[0,,0,0,",
        b"[0,0,0 0,",
        b"[0,0,0",
        b"[[0],0,0,",
        b"[0,0,0,0,",
        b"[0,0,",
        b"0,[0,0,",
        b"[0,0,]0,",
        b"[0,true,0,",
        b"[0,\xa00,0,",
        b"",
    ],
)
def test_leaves_all_else_to_the_parser(start: bytes) -> None:
    assert read(start + PLAIN[7:], nested=False) is None


def test_takes_no_number_outside_an_image() -> None:
    """One number is missing inside and one is too many outside, so that their count is right."""
    for misplaced in (b"5" + PLAIN.replace(b"0,", b",", 1), PLAIN.replace(b"0,", b",", 1) + b"5"):
        assert read(misplaced, nested=False) is None


def test_takes_no_image_of_the_other_form() -> None:
    assert read(PLAIN, nested=True) is None
    assert read(orjson.dumps(digits()[:1].tolist())[1:-1], nested=False) is None


EDITS = st.lists(
    st.tuples(
        st.integers(0, 1 << 20),
        st.integers(0, 3),
        st.sampled_from(
            [b"", b"0", b"7", b",", b"[", b"]", b" ", b"\n", b".", b"-", b"],[", b"25"]
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(edits=EDITS, nested=st.booleans(), with_spaces=st.booleans())
@settings(max_examples=400, deadline=None)
def test_never_differs_from_the_parser(
    edits: list[tuple[int, int, bytes]], nested: bool, with_spaces: bool
) -> None:
    images = digits()[:2]
    dump = spaced if with_spaces else orjson.dumps
    text = dump((images if nested else images.reshape(2, 784)).tolist())[1:-1]
    for anywhere, length, replacement in edits:
        place = anywhere % len(text)
        text = text[:place] + replacement + text[place + length :]
    read_back = read(text, nested=nested)
    if read_back is not None:
        assert read_back.reshape(-1, 784).tolist() == [
            np.ravel(image).tolist() for image in orjson.loads(b"[%b]" % text)
        ]
