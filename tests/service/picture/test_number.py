"""Numbers are taken apart into lines, groups and pieces; the model's confidence picks the cuts."""

from __future__ import annotations

from time import thread_time

import numpy as np
import pytest
from PIL import Image, ImageDraw

from service.decode import Images
from service.picture.find import Box
from service.picture.lattice import Piece
from service.picture.number import Digit, Number, number_in
from service.picture.open import Picture
from service.picture.split import cuts
from tests.service.picture.composed import as_picture, composed


def boxes(picture: Picture) -> list[list[Box]]:
    """The box of each piece that no other piece of its line contains, unless it joins several."""
    return [
        [
            piece.box
            for piece in line
            if not piece.joints
            and not any(
                other.first <= piece.first and piece.last <= other.last
                for other in line
                if other is not piece and not other.joints
            )
        ]
        for line in number_in(picture).lines
    ]


def test_a_blank_sheet_has_no_digits() -> None:
    number = number_in(Picture(np.full((200, 300), 230, np.uint8), (300, 200)))
    assert number.images.shape == (0, 28, 28)
    assert number.read(np.zeros((0, 10), np.float32), 0.5) == []


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_digits_apart_are_a_group_each_from_left_to_right(count: int) -> None:
    random = np.random.default_rng(count)
    strip = composed(list(range(2, 2 + count)), [6] * (count - 1), random)
    (line,) = boxes(as_picture(strip))
    assert len(line) == count
    assert [box[0] for box in line] == sorted(box[0] for box in line)


def test_lines_go_from_top_to_bottom_even_where_they_climb() -> None:
    random = np.random.default_rng(0)
    upper = composed([0, 1, 2], [6, 6], random)
    lower = composed([3, 4], [6], random)
    sheet = np.zeros((150, 220), np.uint8)
    sheet[:60, 20 : 20 + upper.shape[1]] = upper
    sheet[70:130, 5 : 5 + lower.shape[1]] = lower
    climbing = np.stack([np.roll(sheet[:, x], -x // 10) for x in range(sheet.shape[1])], axis=1)
    assert [len(line) for line in boxes(as_picture(sheet))] == [3, 2]
    assert [len(line) for line in boxes(as_picture(climbing))] == [3, 2]


def test_a_sheet_of_64_digits_is_taken_apart() -> None:
    random = np.random.default_rng(3)
    lines = [composed(list(range(8 * i, 8 * i + 8)), [8] * 7, random) for i in range(8)]
    sheet = np.zeros((8 * 40 + 20, max(line.shape[1] for line in lines)), np.uint8)
    for place, line in enumerate(lines):
        field = sheet[40 * place : 40 * place + 60, : line.shape[1]]
        np.maximum(field, line, out=field)
    assert [len(line) for line in boxes(as_picture(sheet))] == [8] * 8


def bars(*boxes_of_bars: Box) -> Picture:
    """Dark bars on a light sheet of 400 by 400 pixels, each a left, a top, a width and a height."""
    grey = np.full((400, 400), 240, np.uint8)
    for left, top, wide, high in boxes_of_bars:
        grey[top : top + high, left : left + wide] = 20
    return Picture(grey, (400, 400))


TALL = (60, 100, 20, 120)


def test_the_hat_of_a_five_belongs_to_its_body_even_where_they_share_no_column() -> None:
    hat, body = (180, 100, 14, 58), (164, 164, 14, 56)
    (line,) = boxes(bars(TALL, hat, body))
    assert [box[1::2] for box in line] == [(100, 120), (100, 120)]


def test_small_lines_beside_a_tall_digit_stay_two() -> None:
    upper, lower = (180, 90, 14, 52), (180, 164, 14, 52)
    assert sum(map(len, boxes(bars(TALL, upper, lower)))) == 3


def framed(turn: float, gap: int) -> Picture:
    """Three digits in a rectangle, turned by so many degrees, so far from the picture's sides."""
    strip = composed([0, 1, 2], [6, 6], np.random.default_rng(0))
    picture = Image.fromarray(np.pad(as_picture(strip).grey, 40, constant_values=255))
    sides = gap, gap, picture.width - gap, picture.height - gap
    ImageDraw.Draw(picture).rectangle(sides, outline=30, width=6)
    grey = np.asarray(picture.rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor=255))
    return Picture(grey, (grey.shape[1], grey.shape[0]))


@pytest.mark.parametrize(("turn", "gap"), [(0, 6), (0, 40), (4, 20), (-4, 20)])
def test_the_frame_of_a_house_number_is_no_digit(turn: float, gap: int) -> None:
    assert [len(line) for line in boxes(framed(turn, gap))] == [3]


SHEET = (1000, 1280)


def strokes(count: int, high: int, wide: int) -> Images:
    random = np.random.default_rng(0)
    sheet = np.full(SHEET, 240, np.uint8)
    for _ in range(count):
        top, left = random.integers(5, 1000 - high - 5), random.integers(5, 1280 - wide - 5)
        sheet[top : top + high, left : left + wide] = 20
    return sheet


def grid(pitch: int, side: int) -> Images:
    rows, columns = np.mgrid[: SHEET[0], : SHEET[1]]
    return np.where((rows % pitch < side) & (columns % pitch < side), 20, 240).astype(np.uint8)


def spiral() -> Images:
    y, x = np.mgrid[-500:500, -640:640]
    turn = np.hypot(x, y) + np.arctan2(y, x) * 20 / np.pi
    return np.where(turn % 40 < 12, 20, 240).astype(np.uint8)


def noise() -> Images:
    return np.random.default_rng(0).integers(0, 256, SHEET, np.uint8)


@pytest.mark.parametrize(
    "grey",
    [strokes(1000, 20, 4), strokes(5000, 12, 2), grid(40, 20), grid(60, 20), spiral(), noise()],
    ids=["strokes", "hairs", "dots", "fewer dots", "spiral", "noise"],
)
def test_a_texture_takes_bounded_time_and_has_few_images(grey: Images) -> None:
    start = thread_time()
    number = number_in(Picture(grey, (grey.shape[1], grey.shape[0])))
    assert thread_time() - start < 1.0
    assert len(number.images) < 1000


def test_boxes_are_in_the_original_s_pixels() -> None:
    strip = composed([0], [], np.random.default_rng(0))
    rows, columns = np.flatnonzero(strip.any(axis=1)), np.flatnonzero(strip.any(axis=0))
    grey = as_picture(strip, scale=4).grey
    size = grey.shape[1] * 3, grey.shape[0] * 3  # as if the decoder had reduced it to a third
    ((box,),) = boxes(Picture(grey, size))
    expected = [columns[0] * 12, rows[0] * 12, len(columns) * 12, (rows[-1] - rows[0] + 1) * 12]
    assert np.abs(np.array(box) - expected).max() <= 18


def test_a_cut_goes_through_the_thinnest_place() -> None:
    mask = np.zeros((40, 60), bool)
    mask[5:35, 4:24] = mask[5:35, 36:56] = True
    mask[18:21, 20:40] = True
    (cut,) = cuts(mask, 1)
    assert 24 <= cut.columns[19] <= 36
    is_left = np.arange(60) < cut.columns[:, None]
    assert abs(int(mask[is_left].sum()) - int(mask[~is_left].sum())) < 40


def test_a_cut_tells_how_many_holes_it_goes_through() -> None:
    row, column = np.mgrid[:60, :60]
    away = np.hypot(row - 30, column - 30)
    ring = (away > 14) & (away < 28)
    assert [cut.holes for cut in cuts(ring, 1)] == [1]
    touching = np.concatenate([ring[:, :58], ring[:, 3:]], axis=1)
    assert [cut.holes for cut in cuts(touching, 3)] == [1, 0, 1]


def test_strokes_in_one_piece_have_no_way_down_for_a_cut() -> None:
    assert cuts(np.ones((30, 20), bool), 3) == []


def certain(*confidences: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    probabilities = np.zeros((len(confidences), 10), np.float32)
    for row, confidence in enumerate(confidences):
        probabilities[row, row] = confidence
    return probabilities


PAIR = [
    Piece(0, 1, (0, 0, 26, 30), 0),
    Piece(0, 2, (0, 0, 42, 30), 1),
    Piece(1, 2, (22, 0, 21, 30), 2),
]


@pytest.mark.parametrize(
    ("confidences", "read"),
    [((0.99, 0.5, 0.99), [0, 2]), ((0.4, 0.9995, 0.5), [1]), ((0.99, 0.95, 0.1), [1])],
)
def test_a_group_is_cut_where_that_raises_the_total_confidence(
    confidences: tuple[float, ...], read: list[int]
) -> None:
    number = Number([PAIR], np.zeros((3, 28, 28), np.uint8))
    (line,) = number.read(certain(*confidences), 0.1)
    assert [digit.digit for digit in line] == read


def test_strokes_apart_are_one_digit_where_they_are_sure_to_be_only_together() -> None:
    apart = [Piece(0, 1, (0, 0, 24, 30), 0), Piece(1, 2, (26, 0, 24, 30), 2)]
    line = [*apart, Piece(0, 2, (0, 0, 50, 30), 1, joints=1)]
    number = Number([line], np.zeros((3, 28, 28), np.uint8))
    for confidences, read in (((0.7, 0.999, 0.7), [1]), ((0.999, 0.999, 0.999), [0, 2])):
        (digits,) = number.read(certain(*confidences), 0.1)
        assert [digit.digit for digit in digits] == read


def test_what_is_unsure_is_left_out() -> None:
    line = [Piece(0, 1, (0, 0, 26, 30), 0)]
    number = Number([line], np.zeros((1, 28, 28), np.uint8))
    assert number.read(certain(0.4), 0.5) == []
    assert number.read(certain(0.75), 0.5) == [[Digit(0, 0.75, (0, 0, 26, 30))]]
