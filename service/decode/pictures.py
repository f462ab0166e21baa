"""The picture files of a request: one body, the files of a form, or base64 in JSON.

Parsing a request only extracts the files. Preprocessing them takes longer, so the caller runs it on
a thread instead of the event loop.
"""

import base64
import math
import re
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from service.background.large_work import FairThreads, give_way
from service.decode.validation import Flaws, check_count, expect, name_of
from service.errors import DeadlineExceeded, Fault, Invalid, Malformed, TooLarge
from service.imaging.load import Picture, encode_png, is_small_png, open_picture
from service.imaging.normalise import stroke_width
from service.imaging.pipeline import HALF_INK, Seen, as_given, preprocess
from service.types import Images, Limits

_MOST_LARGEST = 8
"""The pictures of the largest size that a request can hold in total: some four seconds of work."""
_FEW_PREVIEWS = 8  # the event loop's thread renders up to this many previews; the pool renders more
_DATA_URI = re.compile(r"data:image/[^,]*;base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Undecoded picture files, and what messages call them."""

    bodies: list[bytes]
    field: str | None = None
    """The field that holds the files; None for the one picture that is the whole body."""
    noun: str = "picture"

    def preprocess_small(self, limits: Limits) -> list[Seen] | None:
        """Preprocesses one PNG in MNIST's form, in some 30 us; None for any other."""
        if len(self.bodies) != 1 or self.field is not None or not is_small_png(self.bodies[0]):
            return None
        seen = as_given(open_picture(self.bodies[0], limits))
        return None if seen is None else [seen]

    def preprocess(self, limits: Limits, deadline: float = float("inf")) -> list[Seen]:
        """Preprocesses all pictures, or none. ``deadline`` is on ``perf_counter``'s clock.

        Raises the type of fault of the first faulty picture, with a flaw for each faulty picture.
        """
        if self.field is None:
            return [preprocess(open_picture(body, limits)) for body in self.bodies]
        seen = []
        flaws = Flaws(self.field, self.noun)
        kind: type[Fault] | None = None
        pixels, most = 0, _MOST_LARGEST * limits.picture_pixels
        for index, body in enumerate(self.bodies):
            if perf_counter() > deadline:
                raise DeadlineExceeded("the deadline passed before all pictures were read")
            give_way(index / len(self.bodies))
            try:
                picture = open_picture(body, limits)
                seen.append(preprocess(picture))
            except Fault as fault:
                kind = kind or type(fault)
                flaws.add(index, fault.detail)
                continue
            pixels += math.prod(picture.original)
            if pixels > most:
                raise TooLarge(
                    f"the {self.noun}s up to {self.noun} {index} have {pixels:,} pixels; "
                    f"at most {most:,} are allowed in a request"
                )
        flaws.raise_any(kind or Invalid)
        return seen


def from_base64(value: Any, field: str, limits: Limits) -> Pictures:
    """Decodes a JSON list of base64 strings (RFC 4648, section 4), with a data URI or not."""
    expect(list, value, field, "a list of base64 strings")
    check_count(len(value), limits, field, "picture")
    others, damaged, bodies = Flaws(field, "picture"), Flaws(field, "picture"), []
    for index, text in enumerate(value):
        try:
            start = match.end() if (match := _DATA_URI.match(text)) else 0
            bodies.append(base64.b64decode(text[start:], validate=True))
        except TypeError:
            others.add(index, f"is {name_of(text)}; a base64 string is expected")
        except ValueError:
            damaged.add(
                index, "is not base64 in one line, of A-Z, a-z, 0-9, + and /, padded with ="
            )
    others.raise_any()
    damaged.raise_any(Malformed)
    return Pictures(bodies, field)


def warm(pool: FairThreads) -> Future[Seen]:
    """Preprocesses a picture of a vertical stroke in the pool, so that no caller's is the first."""
    paper = np.full((64, 64), 255, np.uint8)
    paper[16:48, 30:34] = 0
    return pool.submit("", partial(preprocess, Picture(paper, (64, 64)))).result


def picture_doubts(seen: Sequence[Seen]) -> list[tuple[str, ...] | None]:
    """Returns the doubts found in each picture; None for one taken as given, which has none yet."""
    return [None if one.polarity == "as given" else one.doubts for one in seen]


async def preprocess_in_pool(
    pictures: Pictures, limits: Limits, pool: FairThreads, caller: str, deadline: float
) -> list[Seen]:
    """Preprocesses a small PNG at once, and all other pictures in the pool."""
    seen = pictures.preprocess_small(limits)
    if seen is not None:
        return seen
    return await pool.run(caller, lambda: pictures.preprocess(limits, deadline), deadline)


async def previews(
    images: Images, seen: list[Seen] | None, pool: FairThreads, caller: str
) -> list[dict[str, Any]]:
    """Returns what ``?include=seen`` adds to each image's prediction."""
    if len(images) <= _FEW_PREVIEWS:
        return render_previews(images, seen)
    return await pool.run(caller, lambda: render_previews(images, seen))


def render_previews(images: Images, seen: list[Seen] | None) -> list[dict[str, Any]]:
    """Returns the answer's ``seen`` for each image (n, 28, 28); ``seen`` is None for arrays."""
    made = []
    known: Sequence[Seen | None] = seen or [None] * len(images)
    for image, one in zip(images, known, strict=True):
        give_way()
        made.append(
            {
                "png": base64.b64encode(encode_png(image)).decode(),
                "box": list(one.box) if one and one.box else None,
                "polarity": one.polarity if one else "as given",
                "stroke_width": round(stroke_width(image > HALF_INK), 2),
            }
        )
    return made
