"""Tells a caller what the model saw: the 28x28 image, and how it came out of the picture."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

from service.imaging.normalise import stroke_width
from service.imaging.pipeline import HALF_INK, Seen
from service.imaging.threshold import Grey
from service.types import SIDE, Images


def shown(images: Images, seen: list[Seen] | None) -> list[dict[str, Any]]:
    """For each image (n, 28, 28) its ``seen`` as the answer has it; arrays are as given."""
    return [
        {
            "png": base64.b64encode(png(image)).decode(),
            "box": None if seen is None or seen[index].box is None else list(seen[index].box or ()),
            "polarity": "as given" if seen is None else seen[index].polarity,
            "stroke_width": round(stroke_width(image > HALF_INK), 2),
        }
        for index, image in enumerate(images)
    ]


def png(image: Grey) -> bytes:
    """The image (28, 28) as a grey PNG file (W3C PNG, third edition), unfiltered."""
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
