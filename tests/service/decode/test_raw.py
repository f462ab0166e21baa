"""Raw bytes: n * 784 bytes are n images; any other length is rejected."""

from __future__ import annotations

import numpy as np
import pytest

from service.decode.arrays import from_bytes
from service.errors import Fault, Invalid, Malformed, TooLarge
from service.types import Limits
from tests.service.decode.samples import digits, picture

LIMITS = Limits(images=64)


@pytest.mark.parametrize("count", [1, 2, 64])
def test_bytes_are_the_images_without_a_copy(count: int) -> None:
    body = digits()[:count].tobytes()
    images = from_bytes(body, LIMITS)
    assert np.shares_memory(images, np.frombuffer(body, np.uint8))
    assert images.dtype == np.uint8
    assert np.array_equal(images, digits()[:count])
    assert images.flags.c_contiguous


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"", Malformed, "empty"),
        (b"\7", Invalid, r"1 bytes; n \* 784 .* 1 .* 0 images"),
        (b"\7" * 785, Invalid, r"785 bytes; n \* 784 .* 1 .* 1 images"),
        (picture(), Invalid, "a picture file; send it with Content-Type image/"),
        (bytes(784 * 65), TooLarge, "65 images; at most 64"),
    ],
)
def test_any_other_body_is_rejected(body: bytes, kind: type[Fault], message: str) -> None:
    with pytest.raises(kind, match=message):
        from_bytes(body, LIMITS)


def test_a_blank_image_is_accepted_and_a_scaled_one_is_named() -> None:
    blank = bytes(784)
    assert not from_bytes(blank, LIMITS).any()
    assert from_bytes(bytes([0, 2] * 392), LIMITS).max() == 2
    with pytest.raises(Invalid, match=r"image 1: .*largest value is 1.*scaled to 0\.\.1") as caught:
        from_bytes(blank + bytes([0, 1] * 392), LIMITS)
    assert [flaw.index for flaw in caught.value.flaws] == [1]
