"""Preprocess a picture: search its digit with each reading of the background, and normalise it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from service.background.large_work import give_way
from service.imaging import threshold
from service.imaging.components import Box, bounding_box, union
from service.imaging.load import Picture
from service.imaging.locate import Candidate, TextureError, find_digit, gradient_of
from service.imaging.normalise import normalise, stroke_width
from service.imaging.threshold import Grey, Ink, Polarity
from service.types import SIDE

_OVERVIEW = 640  # the longer side of the reduced picture that is searched for the digit, in pixels
_CLOSE_UP = 160  # the longest side of a digit in the close-up from which its strokes are extracted
_DARK_BORDER = 32  # a lower mean is that of an image in MNIST's form; MNIST's have at most 9
_LOW_CONTRAST = 28  # the strokes have less ink than this, of 255
_LEAST_ASPECT, _BLOT_STROKE, _BLOT_FILL = 0.6, 0.42, 0.7
"""The shorter side of a blot in longer sides, its stroke width in shorter sides, and the inked
share of its box. A disc fills 0.79 of its box."""
_ACROSS, _LONG, _NARROW = 0.95, 3, 0.15
"""A line's length in sides of the picture or in its own widths, and its width in sides."""
HALF_INK = 127
_TOO_SMALL = 8  # the longer side, in pixels, below which a digit has lost its shape
_LEAST_SHARE, _LEAST_SHARE_OF_TWO = 0.1, 0.2
"""The share of a picture's total gradient in a clear digit, and the share where both sides of the
threshold can be the background."""
_LEAST_RING = 0.5  # a ring with this share of the box's area shows the surroundings
_LEAST_CONTRAST = 0.15  # to the surroundings, as a share of the digit's ink
_GAP_FACTOR = 1e-3  # on the score of a gap between strokes
WIDEST_STROKES = (0.2, 0.4)  # to try in turn, in shorter sides of the picture


@dataclass(frozen=True, slots=True)
class Seen:
    """The image (28, 28) for the model, and where it comes from."""

    image: Grey
    polarity: Literal["as given"] | Polarity
    box: Box | None = None  # in the upright original; None for an image as given and for no digit
    doubts: tuple[str, ...] = ()


def preprocess(picture: Picture) -> Seen:
    """Returns the digit of a picture in MNIST's form; an empty image and a doubt for no digit."""
    given = as_given(picture)
    if given is not None:
        return given
    grey = picture.grey
    factor = -(-max(grey.shape) // _OVERVIEW)
    first = search(reduced(grey, factor))
    if first is None:
        polarity: Polarity = "light on dark" if np.median(grey) < 128 else "dark on light"
        return Seen(np.zeros((SIDE, SIDE), np.uint8), polarity, None, ("blank",))
    ink, found = first
    box, others = found.box.times(factor, grey.shape), found.others
    around = box.grown(max(4, max(box.width, box.height) // 2))
    zoom = max(1, max(box.width, box.height) // _CLOSE_UP)
    left, top, wide, high = (side // zoom for side in box.moved(-around.left, -around.top))
    expected = Box(left, top, max(1, wide), max(1, high))
    close_up = reduced(np.ascontiguousarray(grey[around.slices]), zoom)
    second = search(close_up, [0.5 * max(expected[2:])], ink.polarity, expected)
    if second is not None and _overlap(second[1].box, expected) > 0.5:
        ink, found = second
        box = found.box.times(zoom).moved(around.left, around.top)
    width, height = picture.original
    box = box.times(width / grey.shape[1], (height, width))
    give_way()
    image = normalise(ink.amount, found.mask, found.threshold)
    give_way()
    reasons = {
        "several digits": others > 0,
        "too small": max(box.width, box.height) < _TOO_SMALL,
        "low contrast": np.percentile(ink.amount[found.mask], 75) < _LOW_CONTRAST,
        "not a digit": found.is_solid or _is_blot(image) or _is_line(box, picture.original),
    }
    doubts = tuple(reason for reason, applies in reasons.items() if applies)
    return Seen(image, ink.polarity, box, doubts)


def as_given(picture: Picture) -> Seen | None:
    """Returns the pixels unchanged if they are in MNIST's form: 28x28 with a dark border."""
    if picture.grey.shape != (SIDE, SIDE):
        return None
    pixels = picture.grey.tobytes()  # for so few bytes Python is faster than NumPy
    inner = pixels[SIDE:-SIDE]
    border = pixels[:SIDE] + pixels[-SIDE:] + inner[::SIDE] + inner[SIDE - 1 :: SIDE]
    is_dark = sum(border.strip(b"\0")) < _DARK_BORDER * len(border)
    return Seen(picture.grey, "as given") if is_dark else None


def _is_blot(image: Grey) -> bool:
    """Whether the image shows a disc or a stain. The model takes a disc for a 0."""
    ink = image > HALF_INK
    if not ink.any():
        return False
    short, long = sorted(bounding_box(ink)[2:])
    is_full = short > _LEAST_ASPECT * long and np.count_nonzero(ink) > _BLOT_FILL * short * long
    return bool(is_full and stroke_width(ink) > _BLOT_STROKE * short)


def _is_line(box: Box, size: tuple[int, int]) -> bool:
    # From edge to edge or along an edge; ``size`` is the picture's width and height.
    for along, across in ((0, 1), (1, 0)):
        length, breadth = box[2 + along], box[2 + across]
        beside = box[across] <= 1 or box[across] + breadth >= size[across] - 1
        is_long = length > _ACROSS * size[along] or (beside and length > _LONG * breadth)
        if is_long and breadth < _NARROW * size[across]:
            return True
    return False


def _overlap(box: Box, other: Box) -> float:
    width = min(box.right, other.right) - max(box.left, other.left)
    height = min(box.bottom, other.bottom) - max(box.top, other.top)
    both = max(0, width) * max(0, height)
    return both / (box.width * box.height + other.width * other.height - both)


def reduced(grey: Grey, factor: float) -> Grey:
    """Returns the picture (h, w) reduced by a factor, by area."""
    image = Image.fromarray(grey)
    if factor == round(factor):
        return np.asarray(image.reduce(round(factor))) if factor > 1 else grey
    size = round(image.width / factor), round(image.height / factor)
    return np.asarray(image.resize(size, Image.Resampling.BOX))


def search(
    grey: Grey,
    widest_strokes: Sequence[float] | None = None,
    polarity: Polarity | None = None,
    expected: Box | None = None,
) -> tuple[Ink, Candidate] | None:
    """Returns the digit in ``grey`` (h, w) and the ink it consists of, None for no digit.

    Tries the readings of the background (of ``polarity``) until one shows a clear digit, else takes
    the best; ``widest_strokes`` are in pixels, ``expected`` is where the digit should be.
    """
    give_way()
    grey = threshold.denoise(grey)
    if widest_strokes is None:
        widest_strokes = [share * min(grey.shape) for share in WIDEST_STROKES]
    gradient = gradient_of(grey)
    give_way()
    seen: list[tuple[Ink, Candidate]] = []
    with suppress(TextureError):
        uneven = (threshold.ink_on_uneven_background(grey, each) for each in widest_strokes)
        for inks in (threshold.ink_on_plain_background(grey), *uneven):
            for ink in inks:
                if polarity in (None, ink.polarity):
                    give_way()
                    found = find_digit(ink, gradient, expected)
                    if found is None:
                        continue
                    if not _has_contrast(grey, ink, found):
                        found = replace(found, is_stroke=False, score=_GAP_FACTOR * found.score)
                    seen.append((ink, found))
            clear = [pair for pair in seen if _is_clear(*pair, seen)]
            if clear:
                return max(clear, key=lambda pair: pair[1].score)
    return max(seen, key=lambda pair: pair[1].score, default=None)


def _has_contrast(grey: Grey, ink: Ink, found: Candidate) -> bool:
    """Whether the candidate differs from its surroundings, or fills the picture."""
    # The gap between two strokes under uneven light differs from the strokes alone.
    box = found.box
    near = box.grown(max(2, max(box.width, box.height) // 2)).slices
    around = np.ones(grey.shape, bool)
    around[box.slices] = False
    ring = grey[near][around[near]]
    if ring.size < _LEAST_RING * box.width * box.height:
        return True
    contrast = float(np.median(ring)) - float(np.median(grey[found.mask]))
    if ink.polarity == "light on dark":
        contrast = -contrast
    return contrast > _LEAST_CONTRAST * float(np.median(ink.amount[found.mask]))


def _is_clear(ink: Ink, found: Candidate, seen: list[tuple[Ink, Candidate]]) -> bool:
    """Whether the search can stop at this candidate."""
    # It cannot where most of the gradient lies elsewhere, unless the digit is on a sheet that lies
    # on something else, nor where another digit encloses it, as a 0 does its inside.
    box = found.box
    around = [one for _, one in seen if one.box != box and union((one.box, box)) == one.box]
    on_sheet = ink.is_plain and any(other.is_solid and not other.at_border for other in around)
    is_one_of_two = ink.is_plain and any(one.is_plain and one is not ink for one, _ in seen)
    least = _LEAST_SHARE_OF_TWO if is_one_of_two else _LEAST_SHARE
    within = any(other.is_stroke and 2 * other.score > found.score for other in around)
    return found.is_stroke and not within and (found.share > least or on_sheet)
