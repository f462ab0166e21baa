"""A decoder returns an array or raises a fault of one line, whatever bytes it receives."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.decode.arrays import from_bytes, from_npy, read_idx, read_npz
from service.decode.content import from_form, inflate, parse_content_type
from service.decode.json_images import from_json
from service.decode.labelled import from_feedback
from service.decode.labelled import from_form as labelled_from_form
from service.decode.labelled import from_json as labelled_from_json
from service.decode.pictures import Pictures
from service.decode.v1 import from_predict
from service.decode.v2 import from_infer
from service.errors import Fault
from tests.service.decode import samples
from tests.service.decode.samples import (
    BOUNDARY,
    LIMITS,
    Decoder,
    check,
    edited,
    form,
    idx,
    npy,
    npz,
    picture,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

LIMIT_BYTES = 1 << 20
IMAGES, LABELS = samples.digits()[:4], samples.labels()[:4]
FLAT = orjson.dumps(IMAGES.ravel().tolist())[1:-1]
V2_HEAD = b'{"inputs": [{"name": "image", "datatype": "UINT8", "shape": [4, 28, 28], %b}]}'
V2_BINARY = V2_HEAD % b'"parameters": {"binary_data_size": 3136}'

DECODERS: dict[str, tuple[Decoder, list[bytes]]] = {
    "json": (
        lambda body: from_json(body, LIMITS),
        [
            orjson.dumps({"images": IMAGES[:1].tolist()}),
            orjson.dumps({"images": IMAGES.tolist()}),
            orjson.dumps({"images": (IMAGES / 2).reshape(4, 784).tolist()}),
            b'{"pictures": ["iVBORw0KGgo="]}',
        ],
    ),
    "feedback": (
        lambda body: from_feedback(body, LIMITS),
        [
            orjson.dumps({"digit": 7, "image": IMAGES[0].tolist()}),
            orjson.dumps({"digit": None, "request_id": "lab.1", "index": 2}),
            orjson.dumps({"digit": 0, "picture": "data:image/png;base64,iVBORw0KGgo="}),
        ],
    ),
    "raw": (lambda body: from_bytes(body, LIMITS), [IMAGES.tobytes()]),
    "npy": (
        lambda body: from_npy(body, LIMITS),
        [npy(IMAGES), npy(IMAGES.astype(">f8")), npy(np.asfortranarray(IMAGES.astype("f2")))],
    ),
    "npz": (
        lambda body: read_npz(body, LIMIT_BYTES),
        [npz(images=IMAGES, labels=LABELS), npz(compressed=False, images=IMAGES)],
    ),
    "idx": (lambda body: read_idx(body, LIMIT_BYTES), [idx(IMAGES), gzip.compress(idx(IMAGES))]),
    "gzip": (lambda body: inflate(body, "gzip", LIMIT_BYTES), [gzip.compress(IMAGES.tobytes())]),
    "deflate": (
        lambda body: inflate(body, "deflate", LIMIT_BYTES),
        [zlib.compress(IMAGES.tobytes())],
    ),
    "picture": (
        lambda body: Pictures([body]).preprocess(LIMITS),
        [picture(kind, "RGB") for kind in ("PNG", "JPEG", "WebP", "BMP", "GIF", "TIFF")],
    ),
    "v1": (lambda body: from_predict(body, LIMITS), [orjson.dumps({"instances": IMAGES.tolist()})]),
    "v2": (lambda body: from_infer(body, None, LIMITS), [V2_HEAD % b'"data": [%b]' % FLAT]),
    "v2 binary": (
        lambda body: from_infer(body, str(len(V2_BINARY)), LIMITS),
        [V2_BINARY + IMAGES.tobytes()],
    ),
    "v2 raw": (lambda body: from_infer(body, "0", LIMITS), [IMAGES[0].tobytes()]),
    "form": (
        lambda body: from_form(body, BOUNDARY, LIMITS),
        [form(("files", picture()), ("files", picture("GIF")))],
    ),
    "labelled json": (
        lambda body: labelled_from_json(body, LIMITS),
        [orjson.dumps({"images": IMAGES.tolist(), "labels": LABELS.tolist()})],
    ),
    "labelled form": (
        lambda body: labelled_from_form(body, BOUNDARY, LIMITS),
        [
            form(("images", npy(IMAGES)), ("labels", npy(LABELS))),
            form(("images", gzip.compress(idx(IMAGES))), ("labels", idx(LABELS))),
            form(("dataset", npz(images=IMAGES, labels=LABELS))),
        ],
    ),
}

EDIT = st.tuples(
    # Most headers are in front. Sometimes random bytes replace all that follows a good beginning.
    st.integers(0, 40) | st.integers(0, 200) | st.integers(0, 1 << 20),
    st.sampled_from([0, 1, 2, 4, 50, 1 << 20]),
    st.binary(max_size=8)
    | st.sampled_from([b"", b"\xff" * 4, b"\0" * 8])
    | st.binary(max_size=300),
)


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.data())
def test_damaged_bodies(name: str, data: st.DataObject) -> None:
    decode, bodies = DECODERS[name]
    body = data.draw(st.sampled_from(bodies))
    check(decode, edited(body, data.draw(st.lists(EDIT, min_size=1, max_size=4))))


@given(
    value=st.lists(
        st.sampled_from(["a/b", ";", "=", '"', "\\", " ", "\t", "boundary", "x", "\xff", "\0"])
    ).map("".join)
)
def test_any_content_type_is_taken_apart(value: str) -> None:
    media_type, parameters = parse_content_type(value)
    assert media_type == media_type.strip().lower()
    with contextlib.suppress(Fault):
        from_form(b"--x", parameters.get("boundary", ""), LIMITS)


@pytest.mark.parametrize("name", DECODERS)
def test_the_undamaged_bodies_are_read(name: str) -> None:
    """Otherwise the tests with damaged bodies would prove nothing."""
    decode, bodies = DECODERS[name]
    for body in bodies:
        if b"pictures" not in body:
            decode(body)
