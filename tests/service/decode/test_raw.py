"""Raw bytes: n * 784 bytes are n images; any other length is rejected."""

from __future__ import annotations

import numpy as np
import pytest

from service.decode.raw import from_bytes
from service.errors import Invalid, Malformed, TooLarge
from service.types import Limits
from tests.service.decode.samples import LIMITS, digits, picture


@pytest.mark.parametrize("count", [1, 2, 64])
def test_bytes_are_the_images_without_a_copy(count: int) -> None:
    body = digits()[:count].tobytes()
    images = from_bytes(body, LIMITS)
    assert np.shares_memory(images, np.frombuffer(body, np.uint8))
    assert images.dtype == np.uint8
    assert np.array_equal(images, digits()[:count])
    assert images.flags.c_contiguous


def test_an_empty_body_is_malformed() -> None:
    with pytest.raises(Malformed, match="empty"):
        from_bytes(b"", LIMITS)


@pytest.mark.parametrize(("length", "rest", "images"), [(1, 1, 0), (783, 783, 0), (785, 1, 1)])
def test_the_message_for_another_length_says_how_many_bytes_are_over(
    length: int, rest: int, images: int
) -> None:
    with pytest.raises(Invalid, match=rf"{length} bytes; n \* 784 .* {rest} .* {images} images"):
        from_bytes(b"\7" * length, LIMITS)


def test_the_message_for_a_picture_file_names_its_type() -> None:
    with pytest.raises(Invalid, match="a picture file; send it with Content-Type image/"):
        from_bytes(picture(), LIMITS)


def test_a_blank_image_is_accepted_and_a_scaled_one_is_named() -> None:
    blank = bytes(784)
    assert not from_bytes(blank, LIMITS).any()
    assert from_bytes(bytes([0, 2] * 392), LIMITS).max() == 2
    scaled = bytes([0, 1] * 392)
    with pytest.raises(Invalid, match=r"image 1: .*largest value is 1.*scaled to 0\.\.1") as caught:
        from_bytes(blank + scaled, LIMITS)
    assert [flaw.index for flaw in caught.value.flaws] == [1]


def test_more_images_than_the_limit_are_too_large() -> None:
    with pytest.raises(TooLarge, match="3 images; at most 2"):
        from_bytes(bytes(784 * 3), Limits(images=2))
