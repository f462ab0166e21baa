"""Show a caller what the model saw: the 28x28 image and how it was extracted."""

import base64
import io
from typing import Any

from PIL import Image

from service.background.large_work import give_way
from service.imaging.normalise import stroke_width
from service.imaging.pipeline import HALF_INK, Seen
from service.imaging.threshold import Grey
from service.types import Images


def render_previews(images: Images, seen: list[Seen] | None) -> list[dict[str, Any]]:
    """Returns the answer's ``seen`` for each image (n, 28, 28); ``seen`` is None for arrays."""
    made = []
    for index, image in enumerate(images):
        give_way()
        made.append(
            {
                "png": base64.b64encode(encode_png(image)).decode(),
                "box": None
                if seen is None or seen[index].box is None
                else list(seen[index].box or ()),
                "polarity": "as given" if seen is None else seen[index].polarity,
                "stroke_width": round(stroke_width(image > HALF_INK), 2),
            }
        )
    return made


def encode_png(image: Grey) -> bytes:
    """Encodes the image (h, w), uint8, as a grey PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
