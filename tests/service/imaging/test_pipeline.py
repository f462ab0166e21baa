"""Pictures of digits, of many kinds, come out in MNIST's form."""

from __future__ import annotations

import io
from collections.abc import Callable
from time import process_time

import numpy as np
import pytest
from PIL import Image, ImageDraw

from service.imaging.components import bounding_box
from service.imaging.load import Picture, open_picture
from service.imaging.pipeline import as_given, preprocess, search
from service.types import Images, Limits
from tests.corpus.digits import mnist, other_writers
from tests.corpus.kinds import KINDS, Kind, canvas, photo_12mp, scan, tight
from tests.pace import slowness
from tests.service.decode.samples import digits, encode
from tests.service.imaging.champion import champion

SHAPES = mnist(24, seed=7)


def grey_picture(grey: Images) -> Picture:
    return Picture(grey, (grey.shape[1], grey.shape[0]))


def test_mnists_test_images_are_taken_as_given() -> None:
    for image in digits():
        seen = as_given(grey_picture(image))
        assert seen is not None
        assert seen.image is image
        assert (seen.polarity, seen.box, seen.doubts) == ("as given", None, ())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_of_picture_is_read(kind: Kind) -> None:
    """At least 22 of 24; ``python -m tests.corpus`` measures the accuracy."""
    random = np.random.default_rng(7)
    shapes = SHAPES if kind.make is not photo_12mp else SHAPES[:5]
    images = np.array(
        [preprocess(open_picture(kind.make(shape, random), Limits())).image for shape in shapes]
    )
    found = champion().run(images).argmax(axis=1)
    assert np.count_nonzero(found != [shape.label for shape in shapes]) <= 2


@pytest.mark.parametrize(("make", "polarity"), [(scan, "dark on light"), (canvas, "light on dark")])
def test_the_polarity_and_the_box_are_found(make: Callable[..., bytes], polarity: str) -> None:
    grey = open_picture(make(SHAPES[0], np.random.default_rng(0)), Limits()).grey
    seen = preprocess(grey_picture(grey))
    box = bounding_box(np.abs(grey.astype(int) - int(np.median(grey))) > 100)
    assert seen.polarity == polarity
    assert seen.box is not None
    assert np.abs(np.array(seen.box) - np.array(box)).max() <= 3


def test_the_box_is_in_pixels_of_the_original_of_a_reduced_picture() -> None:
    sheet = np.full((3000, 4000), 230, np.uint8)
    sheet[800:1600, 1200:1300] = 20
    picture = open_picture(encode(Image.fromarray(sheet), "JPEG", quality=90), Limits())
    assert picture.grey.shape[0] < 3000
    assert picture.original == (4000, 3000)
    box = preprocess(picture).box
    assert box is not None
    assert np.abs(np.array(box) - [1200, 800, 100, 800]).max() <= 12


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (300, 200)])
def test_a_bare_sheet_is_blank(level: int, size: tuple[int, int]) -> None:
    seen = preprocess(grey_picture(np.full(size[::-1], level, np.uint8)))
    if size == (28, 28) and level == 0:
        assert seen.polarity == "as given"
        return
    assert seen.doubts == ("blank",)
    assert seen.box is None
    assert not seen.image.any()


def test_the_grain_of_paper_is_no_ink() -> None:
    random = np.random.default_rng(0)
    for deviation in (1, 3, 6):
        grain = np.clip(random.normal(200, deviation, (300, 400)), 0, 255).astype(np.uint8)
        assert preprocess(grey_picture(grain)).doubts == ("blank",)


def pasted(sheet: Images, index: int, side: int, left: int, top: int) -> Images:
    """The sheet with a test digit of ``side`` pixels in light ink."""
    large = Image.fromarray(digits()[index]).resize((side, side), Image.Resampling.BICUBIC)
    field = sheet[top : top + side, left : left + side]
    np.maximum(field, np.asarray(large), out=field)
    return sheet


def test_two_digits_are_several_even_if_one_is_thin_and_at_the_edge() -> None:
    alike = pasted(pasted(np.zeros((100, 200), np.uint8), 0, 84, 20, 8), 1, 84, 110, 8)
    unlike = pasted(np.zeros((280, 280), np.uint8), 3, 140, 60, 70)
    unlike[95:185, 262:274] = 255
    for sheet in (255 - alike, unlike):
        assert "several digits" in preprocess(grey_picture(sheet)).doubts


@pytest.mark.parametrize("radius", [10, 15, 40])
def test_a_disc_is_no_digit(radius: int) -> None:
    y, x = np.mgrid[:240, :320]
    dot = (x - 150) ** 2 + (y - 110) ** 2 <= radius**2
    for grey in (np.where(dot, 20, 240), np.where(dot, 240, 20)):
        assert preprocess(grey_picture(grey.astype(np.uint8))).doubts == ("not a digit",)


@pytest.mark.parametrize(
    ("size", "box", "paper", "ink", "doubts"),
    [
        ((80, 60), (40, 30, 2, 6), 240, 10, {"too small"}),
        ((480, 360), (100, 60, 280, 200), 70, 230, {"not a digit"}),
        *(
            ((320, 240), box, 240, 20, {"not a digit", "blank"})
            for box in ((0, 0, 3, 90), (0, 236, 70, 4), (150, 0, 6, 240), (314, 9, 6, 80))
        ),
    ],
    ids=["few pixels", "a sheet on a desk", *["a line at the edge or across the picture"] * 4],
)
def test_a_bar_that_is_no_digit_is_doubted(
    size: tuple[int, int], box: tuple[int, ...], paper: int, ink: int, doubts: set[str]
) -> None:
    left, top, width, height = box
    grey = np.full(size[::-1], paper, np.uint8)
    grey[top : top + height, left : left + width] = ink
    assert doubts & {*preprocess(grey_picture(grey)).doubts}


@pytest.mark.parametrize("side", [3, 4, 10, 40])
@pytest.mark.parametrize("light", [True, False])
def test_the_background_around_a_block_is_no_ink(side: int, light: bool) -> None:
    grey = np.zeros((280, 280), np.uint8)
    grey[100 : 100 + side, 150 : 150 + side] = 255
    seen = preprocess(grey_picture(grey if light else 255 - grey))
    assert seen.polarity == ("light on dark" if light else "dark on light")
    assert seen.box == (150, 100, side, side)
    assert "not a digit" in seen.doubts


def test_bold_digits_that_fill_their_frames_are_dark_on_light() -> None:
    """All except digits that leave no background at the border."""
    random = np.random.default_rng(11)
    bodies = [tight(shape, random) for shape in other_writers(60, seed=11)]
    seen = [preprocess(open_picture(body, Limits())) for body in bodies]
    assert sum(one.polarity == "light on dark" for one in seen) <= 3


def test_a_dithered_picture_is_read_like_its_greys() -> None:
    grey = open_picture(scan(other_writers(1, seed=5)[0], np.random.default_rng(5)), Limits()).grey
    dithered = np.asarray(Image.fromarray(grey).convert("1").convert("L"))
    one, other = (preprocess(grey_picture(each)).image for each in (grey, dithered))
    assert np.abs(one.astype(int) - other).mean() < 8


def test_the_inside_of_a_0_that_a_shadow_crosses_is_no_digit() -> None:
    y, x = np.mgrid[:480, :640]
    for edge in (290, 310, 330):
        light = np.where(x < edge, 110, 230)
        distance = np.abs(np.hypot((x - 320) / 0.7, y - 240) - 110)
        grey = np.where(distance < 18, light * 0.2, light).astype(np.uint8)
        seen = preprocess(grey_picture(grey))
        assert seen.polarity == "dark on light"
        assert seen.box is not None
        assert seen.box[3] > 220


def test_the_bar_and_stem_of_a_4_in_a_small_cut_are_no_ruled_lines() -> None:
    grey = np.full((46, 41), 247, np.uint8)
    grey[:20, 0:4] = grey[17:21] = grey[:, 25:29] = 26
    assert preprocess(grey_picture(grey)).box == (0, 0, 41, 46)


def test_a_bold_1_with_a_flag_is_no_sheet() -> None:
    drawing = Image.new("L", (90, 120), 247)
    ImageDraw.Draw(drawing).line([(16, 46), (62, 16), (62, 108)], 26, 26, joint="curve")
    seen = preprocess(grey_picture(np.asarray(drawing)))
    assert "not a digit" not in seen.doubts
    assert seen.box is not None
    assert seen.box[3] > 95


def test_a_faint_digit_is_of_low_contrast() -> None:
    strokes = np.asarray(Image.fromarray(digits()[0]).resize((168, 168), Image.Resampling.BICUBIC))
    sheet = 200 - (strokes * (22 / 255)).astype(np.uint8)
    seen = preprocess(grey_picture(np.pad(sheet, 30, constant_values=200)))
    assert seen.doubts == ("low contrast",)
    assert seen.image.any()


@pytest.mark.alone
def test_a_photo_of_12_megapixels_takes_less_than_150_ms_of_one_core() -> None:
    body = photo_12mp(SHAPES[0], np.random.default_rng(0))
    assert Image.open(io.BytesIO(body)).width * Image.open(io.BytesIO(body)).height == 12_000_000
    times = []
    for _ in range(3):
        start = process_time()
        preprocess(open_picture(body, Limits()))
        times.append(process_time() - start)
    assert min(times) < 0.15 * slowness()


def bars(gap: int, light: Images) -> Images:
    """Dark bars, ``gap`` apart, on a sheet (240, 320) under ``light``."""
    sheet = light.copy()
    for left in range(100, 220, 20 + gap):
        sheet[70:170, left : left + 20] = light[70:170, left : left + 20] // 5
    return sheet


@pytest.mark.parametrize("gap", [8, 14, 22])
@pytest.mark.parametrize("darkest", [230, 120, 60])
def test_the_background_between_strokes_is_no_ink(gap: int, darkest: int) -> None:
    dark = bars(gap, np.tile(np.linspace(235, darkest, 320).astype(np.uint8), (240, 1)))
    light = 255 - bars(14, np.tile(np.linspace(230, 145, 320).astype(np.uint8), (240, 1)))
    for grey, polarity in ((dark, "dark on light"), (light, "light on dark")):
        seen = search(grey)
        assert seen is not None
        assert seen[0].polarity == polarity
