"""Numbers are segmented into lines, groups and pieces; the model's confidence picks the cuts."""

from __future__ import annotations

from time import thread_time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from service.imaging.components import Box, bounding_box
from service.imaging.load import Picture
from service.numbers.lines import lines_in
from service.numbers.number import Number, segment
from service.numbers.row import cuts, row_of
from service.types import Images
from tests.corpus import strings
from tests.pace import slowness
from tests.service.imaging.champion import champion
from tests.service.imaging.composed import as_picture, composed, text_of

LEAST = 0.44


def read(grey: Images) -> str:
    """The text of the grey pixels (h, w) of a picture."""
    return strings.read(champion(), Picture(grey, grey.shape[::-1]), LEAST)


def strip_of(chosen: list[int], gaps: list[int] | None = None) -> Images:
    """Digits on a light sheet; without gaps they touch."""
    return as_picture(composed(chosen, gaps, np.random.default_rng(0))).grey


def boxes(picture: Picture) -> list[list[Box]]:
    """Returns the box of each group of strokes, line by line."""
    number = segment(picture)
    return [
        [number.view.in_original(piece.box) for piece in row.pieces if not piece.joints]
        for row in number.rows
    ]


def test_a_blank_sheet_has_no_digits() -> None:
    number = segment(Picture(np.full((200, 300), 230, np.uint8), (300, 200)))
    assert number.images.shape == (0, 28, 28)
    assert number.read(np.zeros((0, 10), np.float32), 0.5) == []


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_digits_apart_are_a_group_each_from_left_to_right(count: int) -> None:
    strip = composed(list(range(2, 2 + count)), [6] * (count - 1), np.random.default_rng(count))
    (line,) = boxes(as_picture(strip))
    assert len(line) == count
    assert [box[0] for box in line] == sorted(box[0] for box in line)


def test_lines_are_ordered_from_top_to_bottom_even_if_they_climb() -> None:
    random = np.random.default_rng(0)
    upper, lower = composed([0, 1, 2], [6, 6], random), composed([3, 4], [6], random)
    sheet = np.zeros((150, 220), np.uint8)
    sheet[:60, 20 : 20 + upper.shape[1]] = upper
    sheet[70:130, 5 : 5 + lower.shape[1]] = lower
    climbing = np.stack([np.roll(sheet[:, x], -x // 10) for x in range(sheet.shape[1])], axis=1)
    for one in (sheet, climbing):
        assert [len(line) for line in boxes(as_picture(one))] == [3, 2]


def bars(*boxes_of_bars: Box) -> Picture:
    """Dark bars on a light sheet of 400 by 400 pixels, each a left, a top, a width and a height."""
    grey = np.full((400, 400), 240, np.uint8)
    for left, top, wide, high in boxes_of_bars:
        grey[top : top + high, left : left + wide] = 20
    return Picture(grey, (400, 400))


TALL = Box(60, 100, 20, 120)


def test_the_halves_of_a_5_are_one_digit_but_two_small_lines_beside_a_tall_digit_are_two() -> None:
    bar, body = Box(180, 100, 14, 58), Box(164, 164, 14, 56)  # without a shared column
    (line,) = boxes(bars(TALL, bar, body))
    assert [box[1::2] for box in line] == [(100, 120), (100, 120)]
    upper, lower = Box(180, 90, 14, 52), Box(180, 164, 14, 52)
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


def test_boxes_are_in_pixels_of_the_original() -> None:
    strip = composed([0], [], np.random.default_rng(0))
    grey = as_picture(strip, scale=4).grey
    size = grey.shape[1] * 3, grey.shape[0] * 3  # as if the decoder had reduced it to a third
    ((box,),) = boxes(Picture(grey, size))
    assert np.abs(np.array(box) - 12 * np.array(bounding_box(strip > 0))).max() <= 18


def test_a_cut_goes_through_the_thinnest_place() -> None:
    mask = np.zeros((40, 60), bool)
    mask[5:35, 4:24] = mask[5:35, 36:56] = True
    mask[18:21, 20:40] = True
    (cut,) = cuts(mask, 1)
    assert 24 <= cut.columns[19] <= 36
    is_left = np.arange(60) < cut.columns[:, None]
    assert abs(int(mask[is_left].sum()) - int(mask[~is_left].sum())) < 40


def test_a_cut_counts_the_holes_that_it_crosses() -> None:
    row, column = np.mgrid[:60, :60]
    away = np.hypot(row - 30, column - 30)
    ring = (away > 14) & (away < 28)
    assert [cut.holes for cut in cuts(ring, 1)] == [1]
    touching = np.concatenate([ring[:, :58], ring[:, 3:]], axis=1)
    assert [cut.holes for cut in cuts(touching, 3)] == [1, 0, 1]


def test_a_block_has_no_cut() -> None:
    assert cuts(np.ones((30, 20), bool), 3) == []


def test_only_groups_that_are_not_surely_one_digit_are_cut() -> None:
    random = np.random.default_rng(0)
    apart, touching = composed([0, 1, 2, 3], [6, 6, 6], random), composed([4, 7], None, random)
    for strip, is_cut in ((apart, False), (np.concatenate([apart, touching], axis=1), True)):
        number = segment(as_picture(strip))
        pieces = number.cut(champion().run(number.images))
        assert (len(pieces.images) > len(number.images)) == is_cut
        assert np.array_equal(pieces.images[: len(number.images)], number.images)


def test_digits_that_touch_are_read() -> None:
    for seed, chosen in enumerate(([0, 2], [3, 8], [4, 7])):
        strip = composed(chosen, None, np.random.default_rng(seed))
        assert read(as_picture(strip).grey) == text_of(chosen)


def middle_of_gap(grey: Images) -> float:
    """The middle of the widest gap between two inked columns."""
    inked = np.flatnonzero((grey < 128).any(axis=0))
    widest = int(np.diff(inked).argmax())
    return float(inked[widest] + inked[widest + 1]) / 2


SIGNS = {
    "a dash": [(-12, 50, 24, 0)],
    "an equals sign": [(-12, 40, 24, 0), (-12, 60, 24, 0)],
    "a dot": [(-3, 92, 6, 6)],
    "a comma": [(2, 95, -8, 22)],
    "a slash": [(18, -15, -36, 130)],
}
"""The strokes of signs: a start, a width and a height, in per cent of the digits' height."""


@pytest.mark.parametrize("sign", SIGNS)
def test_a_sign_between_digits_is_no_digit(sign: str) -> None:
    grey = strip_of([0, 1], [24])
    rows = np.flatnonzero((grey < 128).any(axis=1))
    image = Image.fromarray(grey)
    for stroke in SIGNS[sign]:
        x, y, across, down = (share * len(rows) / 100 for share in stroke)
        start = middle_of_gap(grey) + x, rows[0] + y
        end = start[0] + across, start[1] + down
        ImageDraw.Draw(image).line([start, end], 20, 10)
    assert read(np.asarray(image)) == text_of([0, 1])


@pytest.mark.parametrize("letter", "AERXTY")
def test_a_letter_between_digits_is_no_digit(letter: str) -> None:
    image = Image.fromarray(strip_of([0, 1], [36]))
    place = middle_of_gap(np.asarray(image)), 160
    font = ImageFont.load_default(110)
    ImageDraw.Draw(image).text(place, letter, 20, font, "ms", stroke_width=2)
    assert read(np.asarray(image)) == text_of([0, 1])


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
def test_a_digit_far_smaller_than_the_others_is_read(share: float) -> None:
    first, last = (Image.fromarray(strip_of([index], [])) for index in (0, 1))
    small = last.resize((round(last.width * share), round(last.height * share)))
    sheet = Image.new("L", (first.width + small.width, first.height), 255)
    sheet.paste(first)
    sheet.paste(small, (first.width, (first.height - small.height) // 2))
    assert read(np.asarray(sheet)) == text_of([0, 1])


@pytest.mark.parametrize("ink", [0.25, 0.4, 0.7])
def test_a_digit_far_fainter_than_the_others_is_read(ink: float) -> None:
    fainter = (255 - ink * (255.0 - strip_of([1], []))).astype(np.uint8)
    assert read(np.concatenate([strip_of([0], []), fainter], axis=1)) == text_of([0, 1])


def test_digits_under_a_shadow_and_digits_cropped_to_their_ink_are_read() -> None:
    grey = strip_of([0, 1, 2], [8, 8])
    assert read(grey[bounding_box(grey < 128).slices].copy()) == text_of([0, 1, 2])
    sheet = np.pad(grey, 100, "edge")
    light = np.interp(np.arange(sheet.shape[1]) - sheet.shape[1] / 2, [-60, 60], [1.0, 0.3])
    assert read((sheet * light).astype(np.uint8)) == text_of([0, 1, 2])


def test_dirt_beside_a_number_is_no_line_of_its_own() -> None:
    image = Image.fromarray(np.pad(strip_of([0, 1], [8]), 60, "edge"))
    ImageDraw.Draw(image).line([(30, 12), (34, 36), (42, 20)], 20, 5)
    assert read(np.asarray(image)) == text_of([0, 1])


def test_a_row_of_sixteen_digits_takes_less_than_80_ms() -> None:
    grey, times = strip_of(list(range(16)), [6] * 15), []
    for _ in range(3):
        start = thread_time()
        read(grey)
        times.append(thread_time() - start)
    assert min(times) < 0.08 * slowness()


def test_a_sheet_of_64_digits_is_read() -> None:
    random = np.random.default_rng(3)
    lines = [list(range(8 * i, 8 * i + 8)) for i in range(8)]
    strips = [composed(line, [8] * 7, random) for line in lines]
    sheet = np.zeros((8 * 40 + 20, max(strip.shape[1] for strip in strips)), np.uint8)
    for place, strip in enumerate(strips):
        field = sheet[40 * place : 40 * place + 60, : strip.shape[1]]
        np.maximum(field, strip, out=field)
    text = read(as_picture(sheet).grey).split("\n")
    assert sum(one != text_of(line) for one, line in zip(text, lines, strict=True)) <= 1


def test_a_digit_below_the_least_confidence_is_left_out() -> None:
    (groups,) = lines_in(strip_of([0], []))
    images: list[Images] = []
    number = Number([row_of(groups, images)], np.array(images))
    probabilities = np.zeros((1, 10), np.float32)
    for confidence, digits in ((0.4, 0), (0.75, 1)):
        probabilities[0, 7] = confidence
        assert sum(map(len, number.read(probabilities, 0.5))) == digits
