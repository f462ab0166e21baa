"""Reads ``application/octet-stream``: images as bytes, row by row, one after the other."""

import numpy as np

from service.decode.validation import check_count, check_pixels, refuse
from service.errors import Malformed
from service.imaging.load import is_picture
from service.types import PIXELS, SIDE, Images, Limits


def from_bytes(body: bytes, limits: Limits) -> Images:
    """Reads the n images (n, 28, 28) in n * 784 bytes, without a copy."""
    if not body:
        raise Malformed(f"the body is empty; n * {PIXELS} bytes are expected")
    count, rest = divmod(len(body), PIXELS)
    if rest:
        if is_picture(body):
            raise refuse("body", "a picture file; send it with Content-Type image/*")
        message = f"{len(body):,} bytes; n * {PIXELS} are expected, {rest} are over {count} images"
        raise refuse("body", message)
    check_count(count, limits, "body")
    images: Images = np.ndarray((count, SIDE, SIDE), np.uint8, body)
    if count == 1 and body.strip(b"\0\1"):  # a larger value shows that it was not scaled to 0..1
        return images
    return check_pixels(images, "body")
