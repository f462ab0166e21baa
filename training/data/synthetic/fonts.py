"""Draws characters of the fonts of matplotlib and Pillow in MNIST's normal form."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from service.types import Images

# Files of matplotlib; "" is Pillow's own font (Aileron), three times because its 1 is rare.
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    *("cmb10", "cmr10", "cmti10"),
    *("", "", ""),
)
# Never trained on: three new typefaces, and a new style of three typefaces whose other styles are
# trained on. cmmi10 has old-style figures.
FONTS_HELD_OUT = (
    *("cmss10", "cmtt10", "cmmi10"),
    *("DejaVuSans-BoldOblique", "DejaVuSansMono-BoldOblique", "DejaVuSerif-BoldItalic"),
)
LOOK_ALIKES = "bBDgIloOqsSzZ"
"""Look like a 6, 8, 0, 9, 1, 1, 0, 0, 9, 5, 5, 2 and 2, also to people; never drawn."""
LETTERS = "ACEFGHKMNPQRTUVWXYacdefhikmnprtuvwxyjJL@#%&?+*=$"
# Greek and Armenian without what looks like a Latin letter or a digit: 0 (theta, omicron), 3 (xi),
# 4 (all that are a u with a tail), 5 (final sigma), 6 (sigma), 7 (pi, eta, tau), 8 (beta, delta),
# 9 (gim) and others. training.measure.robustness has other symbols.
SYMBOLS = "ΓΔΛΞΣΦΨΩαεκλφχψωԵԸԽՃՖբեըթխփքև∇∞≈≥÷∉⊃∀∧⇒←↔♠♥♫☀☃☑☼✉✂★€™☁☘☛☝☠☣☧☭☯☲☹♊♎♐♓♕♗♙♛♝♟♤✆✍✏✕❀❄❖❤"
WITH_SYMBOLS = ("DejaVuSans", "DejaVuSans-Bold")
GLYPH = 80  # pixels, before scaling down


def glyphs(characters: str, fonts: Sequence[str]) -> Images:
    """Draws each character in each font, font by font, (fonts * characters, 28, 28) uint8."""
    import matplotlib as mpl

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    pictures = []
    for name in fonts:
        path = str(folder / f"{name}.ttf")
        font = ImageFont.truetype(path, GLYPH) if name else ImageFont.load_default(GLYPH)
        for character in characters:
            picture = Image.new("L", (2 * GLYPH, 2 * GLYPH))
            ImageDraw.Draw(picture).text((40, 20), character, fill=255, font=font)
            pictures.append(normal_form(picture))
    return np.stack(pictures)


def printed(
    characters: str, fonts: Sequence[str], count: int, random: np.random.Generator
) -> Images:
    """Draws ``count`` of the characters in one of the fonts each, (count, 28, 28) uint8."""
    drawn = glyphs(characters, fonts)
    return drawn[random.integers(0, len(drawn), count)]


def normal_form(picture: Image.Image) -> Images:
    """Scales a grey picture to 20 pixels and centres its mass, (28, 28) uint8: MNIST's normal form.

    LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section III.
    """
    ink = picture.crop(picture.getbbox())
    ratio = 20 / max(ink.size)
    size = (max(1, round(ink.width * ratio)), max(1, round(ink.height * ratio)))
    small = np.asarray(ink.resize(size, Image.Resampling.BOX), np.float32)
    mass = small.sum()
    at = []
    for axis, side in enumerate(small.shape):
        centre = (small.sum(axis=1 - axis) * np.arange(side)).sum() / mass
        at.append(int(np.clip(round(13.5 - centre), 0, 28 - side)))
    field = np.zeros((28, 28), np.uint8)
    field[at[0] : at[0] + small.shape[0], at[1] : at[1] + small.shape[1]] = small
    return field
