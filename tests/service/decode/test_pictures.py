"""The picture files of a request: extracted quickly, preprocessed all together or not at all."""

from __future__ import annotations

import base64
from time import perf_counter

import numpy as np
import pytest
from PIL import Image

from service.background.large_work import FairThreads
from service.decode.pictures import Pictures, from_base64, warm
from service.errors import DeadlineExceeded, Fault, Invalid, Malformed, TooLarge, UnsupportedType
from service.types import Images, Limits
from tests.service.decode.samples import LIMITS, digits, encode, picture


def images(pictures: Pictures) -> Images:
    """The images for the model."""
    return np.array([seen.image for seen in pictures.preprocess(LIMITS)])


def as_base64(body: bytes) -> str:
    return base64.b64encode(body).decode()


def test_base64_is_read_with_and_without_a_data_uri() -> None:
    """RFC 2397: the scheme and the type in any case, the type with parameters."""
    texts = [as_base64(picture()), "data:image/png;base64," + as_base64(picture(index=1))]
    texts.append("DATA:image/PNG;name=2.png;base64," + as_base64(picture(index=2)))
    assert np.array_equal(images(from_base64(texts, "pictures", LIMITS)), digits()[:3])


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (7, Invalid, "picture 1: is a number; a base64 string"),
        (None, Invalid, "picture 1: is null"),
        ("!!!!", Malformed, "picture 1: is not base64"),
        ("QUJD\nQUJD", Malformed, "picture 1: is not base64 in one line"),
        ("QUJD-_==", Malformed, "of A-Z, a-z, 0-9, \\+ and /"),
        ("QUI", Malformed, "padded with ="),
        ("QUJ", Malformed, "picture 1: is not base64"),
        ("ä", Malformed, "picture 1: is not base64"),
        ("data:text/plain;base64,QUJD", Malformed, "picture 1: is not base64"),
        ("", Malformed, "picture 1: the picture is empty"),
        ("QUJD", Malformed, "picture 1: not a picture"),
        (as_base64(b"<svg/>"), UnsupportedType, "picture 1: SVG"),
    ],
)
def test_a_faulty_base64_picture_is_named(text: object, kind: type[Fault], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        from_base64([as_base64(picture()), text], "pictures", LIMITS).preprocess(LIMITS)
    assert [(flaw.index, flaw.field) for flaw in caught.value.flaws] == [(1, "pictures")]


def test_too_many_base64_pictures_are_too_large() -> None:
    with pytest.raises(TooLarge, match="3 pictures; at most 2"):
        from_base64([as_base64(picture())] * 3, "pictures", Limits(images=2))


def test_pictures_are_preprocessed_until_the_deadline() -> None:
    pictures = Pictures([picture()] * 3, "files", "file")
    assert len(pictures.preprocess(LIMITS, perf_counter() + 60)) == 3
    with pytest.raises(DeadlineExceeded):
        pictures.preprocess(LIMITS, perf_counter())


def test_the_pixels_of_all_pictures_together_are_bounded() -> None:
    sheet = encode(Image.new("L", (100, 100), 255), "PNG")
    limits = Limits(picture_pixels=10_000)
    assert len(Pictures([sheet] * 8, "files", "file").preprocess(limits)) == 8
    with pytest.raises(TooLarge, match=r"up to file 8 have 90,000 pixels; at most 80,000"):
        Pictures([sheet] * 20, "files", "file").preprocess(limits)


def test_one_png_in_the_form_of_mnist_is_preprocessed_at_once() -> None:
    seen = Pictures([picture()]).preprocess_small(LIMITS)
    assert seen is not None
    assert np.array_equal(seen[0].image, digits()[0])


@pytest.mark.parametrize(
    "pictures",
    [
        Pictures([picture("GIF")]),
        Pictures([picture(), picture()], "files", "file"),
        Pictures([encode(Image.fromarray(255 - digits()[0]), "PNG")]),
        Pictures([encode(Image.new("L", (29, 28)), "PNG")]),
        Pictures([picture()[:33] + bytes(9000) + picture()[33:]]),
    ],
)
def test_all_other_pictures_are_left_to_a_thread(pictures: Pictures) -> None:
    assert pictures.preprocess_small(LIMITS) is None


def test_the_picture_that_warms_the_pool_holds_a_digit() -> None:
    seen = warm(FairThreads("picture", 1)).result(30)
    assert (seen.polarity, seen.box is None) == ("dark on light", False)
