"""The kinds of pictures in the corpus. A function draws each from a digit, as a file's bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from tests.corpus.digits import Shape, drawn

Random = np.random.Generator
Size = tuple[int, int]
Light = NDArray[np.float32]  # a picture (h, w) of light, 0 black to 1 white


def scan(shape: Shape, random: Random) -> bytes:
    """A clean scan: dark ink on white, anywhere on the sheet."""
    cover = placed(shape, random, (400, 300), (0.25, 0.7))
    return encoded(on_paper(cover, random.uniform(0.93, 1), random.uniform(0, 0.3)), "PNG")


def pencil(shape: Shape, random: Random) -> bytes:
    """A scan of a faint pencil, with a quarter of a pen's contrast and with grain."""
    cover = placed(shape, random, (400, 300), (0.3, 0.7))
    light = on_paper(cover, 0.92, random.uniform(0.6, 0.7))
    return encoded(light + noise(light.shape, 0.01, random), "JPEG", quality=80)


def tight(shape: Shape, random: Random) -> bytes:
    """Cropped to the ink."""
    cover = resized(shape.ink, int(random.integers(40, 200)))
    return encoded(on_paper(cover, 0.97, 0.1), "PNG")


def inverted_28(shape: Shape, random: Random) -> bytes:
    """A 28x28 picture, black ink on white."""
    cover = placed(shape, random, (28, 28), (0.7, 0.75), centre=True)
    return encoded(1 - cover, "PNG")


def canvas(shape: Shape, random: Random) -> bytes:
    """White on black, as a canvas of an application saves it."""
    cover = placed(shape, random, (280, 280), (0.4, 0.85))
    return encoded(cover, "PNG")


def canvas_thin(shape: Shape, random: Random) -> bytes:
    """Mouse strokes of 1 to 4 pixels on a canvas of 280."""
    drawing = drawn(shape.label, random.uniform(1, 4), int(random.integers(100, 230)), random)
    return encoded(pasted(drawing.ink, (280, 280), random), "PNG")


def canvas_thick(shape: Shape, random: Random) -> bytes:
    """Finger strokes of 20 to 40 pixels on a canvas of 280."""
    drawing = drawn(shape.label, random.uniform(20, 36), int(random.integers(150, 240)), random)
    return encoded(pasted(drawing.ink, (280, 280), random), "PNG")


def transparent(shape: Shape, random: Random) -> bytes:
    """A PNG with a transparent background and black, white or coloured ink."""
    cover = placed(shape, random, (300, 300), (0.3, 0.8))
    colour = [(0, 0, 0), (255, 255, 255), (200, 30, 30), (30, 60, 200)][random.integers(4)]
    image = Image.new("RGB", cover.shape[::-1], colour)
    image.putalpha(Image.fromarray(as_bytes(cover)))
    return saved(image, "PNG")


def ruled(shape: Shape, random: Random) -> bytes:
    """A lined or squared sheet, slightly rotated."""
    size = 480, 360
    cover = placed(shape, random, size, (0.3, 0.75))
    light = on_paper(cover, 0.95, random.uniform(0.1, 0.3))
    lines = rules(size, random, squared=random.random() < 0.5)
    light = np.minimum(light, 1 - lines * random.uniform(0.2, 0.5))
    return encoded(light + noise(light.shape, 0.01, random), "JPEG", quality=85)


def shadow(shape: Shape, random: Random) -> bytes:
    """A photo with a soft or hard shadow over part of the sheet."""
    size = 640, 480
    cover = placed(shape, random, size, (0.25, 0.7))
    light = on_paper(cover, 0.9, random.uniform(0.1, 0.3)) * shade(size, random)
    return encoded(light + noise(light.shape, 0.01, random), "JPEG", quality=85)


def blurred(shape: Shape, random: Random) -> bytes:
    """Out of focus, by 2 to 8 pixels for a digit about 170 pixels high."""
    cover = placed(shape, random, (400, 300), (0.4, 0.7))
    image = Image.fromarray(as_bytes(on_paper(cover, 0.95, 0.15)))
    return saved(image.filter(ImageFilter.GaussianBlur(random.uniform(2, 8))), "PNG")


def compressed(shape: Shape, random: Random) -> bytes:
    """A JPEG of quality 5 to 20."""
    cover = placed(shape, random, (200, 160), (0.4, 0.8))
    light = on_paper(cover, 0.95, 0.2)
    return encoded(light, "JPEG", quality=int(random.integers(5, 20)))


def speckled(shape: Shape, random: Random) -> bytes:
    """Salt and pepper on 2 to 5 % of the pixels, or strong grain."""
    cover = placed(shape, random, (320, 240), (0.4, 0.8))
    light = on_paper(cover, 0.9, 0.15)
    if random.random() < 0.5:
        light = light + noise(light.shape, random.uniform(0.05, 0.12), random)
    else:
        dots = random.random(light.shape) < random.uniform(0.02, 0.05)
        light = np.where(dots, random.integers(0, 2, light.shape), light).astype(np.float32)
    return encoded(light, "PNG")


def perspective(shape: Shape, random: Random) -> bytes:
    """A sheet in perspective."""
    size = 640, 480
    cover = placed(shape, random, size, (0.35, 0.7))
    image = Image.fromarray(as_bytes(on_paper(cover, 0.92, 0.2)))
    corners = np.array([(0, 0), (0, 480), (640, 480), (640, 0)], float)
    quad = corners + random.uniform(-0.12, 0.12, (4, 2)) * size
    how = Image.Transform.QUAD, quad.ravel().tolist(), Image.Resampling.BICUBIC
    return saved(image.transform(size, *how, fillcolor=235), "JPEG", quality=88)


def tiny(shape: Shape, random: Random) -> bytes:
    """A digit of 18 to 40 pixels in a frame of 1000 to 1600."""
    size = int(random.integers(1000, 1600)), int(random.integers(800, 1200))
    height = random.integers(18, 41) / min(size)
    cover = placed(shape, random, size, (height, height))
    light = on_paper(cover, 0.95, 0.1)
    return encoded(light + noise(light.shape, 0.008, random), "PNG", compress_level=1)


def blackboard(shape: Shape, random: Random) -> bytes:
    """Chalk on a wiped board."""
    size = 640, 480
    cover = placed(shape, random, size, (0.3, 0.7))
    chalk = cover * np.clip(0.75 + noise(cover.shape, 0.25, random), 0.3, 1)
    wiped = clouds(size, random) * 0.12
    light = 0.12 + wiped + 0.7 * chalk
    colour = np.stack([light * 0.8, light, light * 0.9], -1)
    colour += noise((*light.shape, 1), 0.02, random)
    return saved(Image.fromarray(as_bytes(colour)), "JPEG", quality=85)


def photo_12mp(shape: Shape, random: Random) -> bytes:
    """A phone's photo, 4000x3000: grain, uneven light, a shadow, a rotated camera."""
    size = 1000, 750
    cover = placed(shape, random, size, (0.12, 0.6))
    light = on_paper(cover, 0.85, random.uniform(0.15, 0.35)) * shade(size, random)
    light = light * (1 - 0.3 * clouds(size, random))
    large = Image.fromarray(as_bytes(light)).resize((4000, 3000), Image.Resampling.BICUBIC)
    grain = np.tile(random.normal(0, 5, (600, 800)), (5, 5)).astype(np.float32)
    grey = np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8)
    image = Image.merge("RGB", [Image.fromarray(grey)] * 3)
    exif = Image.Exif()
    turned = int(random.integers(4))
    exif[0x0112] = (1, 8, 3, 6)[turned]
    if turned:
        image = image.rotate(-90 * turned, expand=True)
    return saved(image, "JPEG", quality=88, exif=exif)


def on_a_desk(shape: Shape, random: Random) -> bytes:
    """A sheet on a dark desk, with its edges in the picture."""
    cover = placed(shape, random, (460, 360), (0.35, 0.6))
    sheet = Image.fromarray(as_bytes(on_paper(cover, 0.9, 0.15)))
    desk = Image.fromarray(as_bytes(0.25 + 0.1 * clouds((720, 560), random)))
    where = int(random.integers(60, 200)), int(random.integers(60, 140))
    angle = random.uniform(-8, 8)
    whole = Image.new("L", sheet.size, 255).rotate(angle, Image.Resampling.BICUBIC, expand=True)
    desk.paste(sheet.rotate(angle, Image.Resampling.BICUBIC, expand=True), where, whole)
    return saved(desk.filter(ImageFilter.GaussianBlur(1)), "JPEG", quality=85)


def other_forms(shape: Shape, random: Random) -> bytes:
    """One of the file formats and colour modes, at random."""
    cover = placed(shape, random, (300, 240), (0.4, 0.8))
    grey = Image.fromarray(as_bytes(on_paper(cover, 0.95, 0.1)))
    forms: list[Callable[[], bytes]] = [
        lambda: saved(grey.convert("RGB").convert("CMYK"), "JPEG", quality=90),
        lambda: saved(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "PNG"),
        lambda: saved(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "TIFF"),
        lambda: saved(grey.convert("1"), "PNG"),
        lambda: saved(grey.point(lambda v: 255 if v > 128 else 0).convert("1"), "TIFF"),
        lambda: saved(grey.convert("RGB").quantize(16), "PNG"),
        lambda: saved(grey, "GIF"),
        lambda: saved(grey.convert("RGB"), "WEBP", quality=60),
        lambda: saved(grey.convert("RGB"), "BMP"),
        lambda: saved(grey.convert("LA"), "PNG"),
    ]
    return forms[random.integers(len(forms))]()


def small(shape: Shape, random: Random) -> bytes:
    """A digit of 10 to 16 pixels on a sheet of 20."""
    cover = placed(shape, random, (20, 20), (0.5, 0.8))
    return encoded(1 - 0.9 * cover, "PNG")


def framed(shape: Shape, random: Random) -> bytes:
    """Inside the border of a plate or a card, dark on light or light on dark."""
    rim = Image.new("L", (400, 300))
    gap, width = (int(part) for part in random.integers((0, 2), (12, 14)))
    ImageDraw.Draw(rim).rectangle((gap, gap, 399 - gap, 299 - gap), outline=255, width=width)
    cover = np.pad(placed(shape, random, (340, 240), (0.4, 0.8)), 30)
    light = np.maximum(cover, np.asarray(rim, np.float32) / 255)
    return encoded(light if random.random() < 0.3 else 1 - light, "PNG")


def form(shape: Shape, random: Random) -> bytes:
    """In one of one to five boxes of a form."""
    count, high, width = (int(part) for part in random.integers((1, 90, 1), (6, 130, 4)))
    pitch = high + int(random.integers(8, 30))
    size = count * pitch + 60, high + 60
    boxes = Image.new("L", size)
    pen = ImageDraw.Draw(boxes)
    for left in range(30, 30 + count * pitch, pitch):
        pen.rectangle((left, 30, left + high, 30 + high), outline=255, width=width)
    cover = np.zeros(size[::-1], np.float32)
    at, inner = 35 + pitch * int(random.integers(count)), high - 9
    cover[35 : 35 + inner, at : at + inner] = placed(shape, random, (inner, inner), (0.6, 0.85))
    printed = np.asarray(boxes, np.float32) / np.float32(255)
    light = on_paper(printed, 0.95, random.uniform(0.2, 0.6))
    light = np.minimum(light, on_paper(cover, 0.95, random.uniform(0.05, 0.3)))
    return encoded(light + noise(light.shape, 0.01, random), "JPEG", quality=85)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: the function that draws it, and its target accuracy in per cent."""

    make: Callable[[Shape, Random], bytes]
    target: float = 98.0
    draws: bool = False  # whether it draws the strokes itself and uses only the label of a shape

    @property
    def name(self) -> str:
        """The name in the table."""
        return self.make.__name__.replace("_", " ")


KINDS = (
    *(Kind(make, 99.0) for make in (scan, canvas, transparent, inverted_28)),
    *(Kind(make, 99.0, draws=True) for make in (canvas_thin, canvas_thick)),
    *map(Kind, (tight, small, pencil, ruled, framed, form, shadow, blurred, compressed)),
    *map(Kind, (speckled, perspective, tiny, blackboard, on_a_desk, photo_12mp, other_forms)),
)


def resized(ink: Light, longest: int) -> Light:
    """Resizes the ink to ``longest`` pixels on its longer side."""
    scale = longest / max(ink.shape)
    size = max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale))
    image = Image.fromarray(as_bytes(ink)).resize(size, Image.Resampling.LANCZOS)
    return (np.asarray(image) / 255).astype(np.float32)


def placed(
    shape: Shape, random: Random, size: Size, share: tuple[float, float], centre: bool = False
) -> Light:
    """Puts the digit, ``share`` as high as the sheet, on a sheet. Returns the ink of each pixel."""
    longest = max(2, round(random.uniform(*share) * min(size)))
    return pasted(resized(shape.ink, longest), size, random, centre)


def pasted(ink: Light, size: tuple[int, int], random: Random, centre: bool = False) -> Light:
    """Puts the ink at a random place on a sheet, off the edge if there is room."""
    cover = np.zeros(size[::-1], np.float32)
    height, width = ink.shape
    room_x, room_y = size[0] - width, size[1] - height
    edge = 0.1 if min(room_x, room_y) > 8 else 0.0
    left, top = room_x // 2, room_y // 2
    if not centre:
        left, top = (int(random.uniform(edge, 1 - edge) * room) for room in (room_x, room_y))
    cover[top : top + height, left : left + width] = ink
    return cover


def on_paper(cover: Light, paper: float, ink: float) -> Light:
    """Returns the light of a sheet: ``paper`` without ink, ``ink`` under full ink."""
    return (paper + (ink - paper) * cover).astype(np.float32)


def noise(shape: tuple[int, ...], deviation: float, random: Random) -> Light:
    """Returns Gaussian grain."""
    return random.normal(0, deviation, shape).astype(np.float32)


def clouds(size: tuple[int, int], random: Random) -> Light:
    """Returns smooth unevenness, 0 to 1."""
    coarse = Image.fromarray((random.random((4, 5)) * 255).astype(np.uint8))
    return (np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)) / 255).astype(np.float32)


def shade(size: tuple[int, int], random: Random) -> Light:
    """Returns the light under a shadow with a soft or hard edge, 0.35 to 1."""
    width, height = size
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle = random.uniform(0, 2 * np.pi)
    distance = x * np.cos(angle) + y * np.sin(angle) - random.uniform(-0.4, 0.4)
    softness = random.uniform(0.005, 0.4)
    dark = 1 / (1 + np.exp(np.clip(-distance / softness, -50, 50)))
    return np.asarray(1 - random.uniform(0.3, 0.65) * dark, np.float32)


def rules(size: tuple[int, int], random: Random, squared: bool) -> Light:
    """Returns the printed lines of a sheet, 0 to 1."""
    width, height = size
    turn = random.uniform(-0.06, 0.06)
    pitch, thick = random.uniform(25, 50), random.uniform(1, 2.5)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    lines = ((y + turn * x) % pitch < thick).astype(np.float32)
    if squared:
        lines = np.maximum(lines, ((x - turn * y) % pitch < thick).astype(np.float32))
    return lines


def as_bytes(light: NDArray[Any]) -> NDArray[np.uint8]:
    """Converts light 0..1 to bytes."""
    return np.asarray(np.clip(light, 0, 1) * 255 + 0.5).astype(np.uint8)


def encoded(light: Light, kind: str, **options: Any) -> bytes:
    """Returns a grey picture file."""
    return saved(Image.fromarray(as_bytes(light)), kind, **options)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Returns a picture file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
