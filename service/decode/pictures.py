"""The picture files of a request: one body, the files of a form, or base64 in JSON.

Getting at the files is quick; looking at them is not, and is left to the caller to do elsewhere
than on the event loop.
"""

from __future__ import annotations

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

from service.background.picture_pool import PicturePool
from service.decode.validation import Flaws, check_count, name_of, refuse
from service.errors import DeadlineExceeded, Fault, Invalid, Malformed, TooLarge
from service.imaging.load import Picture, is_small_png, open_picture
from service.imaging.pipeline import Seen, as_given, look
from service.imaging.preview import shown
from service.types import Images, Limits

_TOGETHER = 8
"""So many pictures of the largest size are looked at in a request: some four seconds of work."""
_FEW_PREVIEWS = 8
"""The event loop's thread renders up to this many previews; the pool renders more."""
_DATA_URI = re.compile(r"data:image/[^,]*;base64,", re.IGNORECASE)
_NOT_BASE64 = "is not base64 in one line, of A-Z, a-z, 0-9, + and /, padded with ="


@dataclass(frozen=True, slots=True)
class Pictures:
    """Picture files as they came, and what they are called in a message."""

    bodies: list[bytes]
    field: str | None = None
    """The field they came in, or None for the one picture that is the whole body."""
    noun: str = "picture"

    def at_a_glance(self, limits: Limits) -> list[Seen] | None:
        """What is seen, where that takes but some 30 microseconds: one PNG in MNIST's form.

        None for all others. Raises as :meth:`look` does.
        """
        if len(self.bodies) != 1 or self.field is not None or not is_small_png(self.bodies[0]):
            return None
        seen = as_given(open_picture(self.bodies[0], limits))
        return None if seen is None else [seen]

    def look(self, limits: Limits, deadline: float = float("inf")) -> list[Seen]:
        """What is seen in each, all or nothing; ``deadline`` is on ``perf_counter``'s clock.

        Raises the kind of fault of the first faulty picture, and names them all by their number;
        :class:`DeadlineExceeded` where the deadline passed before the last was begun,
        :class:`TooLarge` where all together are.
        """
        if self.field is None:
            return [look(open_picture(body, limits)) for body in self.bodies]
        seen = []
        flaws = Flaws(self.field, self.noun)
        kind: type[Fault] | None = None
        pixels, most = 0, _TOGETHER * limits.picture_pixels
        for index, body in enumerate(self.bodies):
            if perf_counter() > deadline:
                raise DeadlineExceeded("the deadline passed before all pictures were read")
            try:
                picture = open_picture(body, limits)
                seen.append(look(picture))
            except Fault as fault:
                kind = kind or type(fault)
                flaws.add(index, fault.detail)
                continue
            pixels += math.prod(picture.original)
            if pixels > most:
                raise TooLarge(
                    f"the {self.noun}s up to {self.noun} {index} have {pixels:,} pixels; "
                    f"at most {most:,} are read in a request"
                )
        flaws.raise_any(kind or Invalid)
        return seen


def from_base64(value: object, field: str, limits: Limits) -> Pictures:
    """The pictures of a JSON list of base64 texts (RFC 4648, section 4).

    A ``data:image/...;base64,`` in front is passed over. Raises :class:`Invalid` for what is no
    such list, :class:`Malformed` for what is not base64, :class:`TooLarge` for too many.
    """
    if not isinstance(value, list):
        raise refuse(None, field, f"is {name_of(value)}; a list of base64 strings is expected")
    check_count(len(value), limits, field, "picture")
    flaws = Flaws(field, "picture")
    for index, text in enumerate(value):
        if not isinstance(text, str):
            flaws.add(index, f"is {name_of(text)}; a base64 string is expected")
    flaws.raise_any()
    bodies = []
    for index, text in enumerate(value):
        start = match.end() if (match := _DATA_URI.match(text)) else 0
        try:
            bodies.append(base64.b64decode(text[start:], validate=True))
        except ValueError:
            flaws.add(index, _NOT_BASE64)
    flaws.raise_any(Malformed)
    return Pictures(bodies, field)


def warm(pool: PicturePool) -> Future[Seen]:
    """Decodes a picture of a vertical stroke in the pool, so that no caller's is the first."""
    paper = np.full((64, 64), 255, np.uint8)
    paper[16:48, 30:34] = 0
    return pool.submit(partial(look, Picture(paper, (64, 64))))


def picture_doubts(seen: Sequence[Seen]) -> list[tuple[str, ...] | None]:
    """Returns the doubts found in each picture; None for one taken as given, which has none yet."""
    return [None if one.polarity == "as given" else one.doubts for one in seen]


async def look_at(
    pictures: Pictures, limits: Limits, pool: PicturePool, deadline: float
) -> list[Seen]:
    """Returns what is seen in each picture: at once for a small PNG, else from the pool.

    Raises as :meth:`Pictures.look` does.
    """
    seen = pictures.at_a_glance(limits)
    if seen is not None:
        return seen
    return await pool.run(lambda: pictures.look(limits, deadline), deadline)


async def previews(
    images: Images, seen: list[Seen] | None, pool: PicturePool
) -> list[dict[str, Any]]:
    """Returns what ``?include=seen`` adds to each image's prediction."""
    if len(images) <= _FEW_PREVIEWS:
        return shown(images, seen)
    return await pool.run(lambda: shown(images, seen))
