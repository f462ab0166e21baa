"""Picture files to the 28x28 grey image that the model reads.

PNG, JPEG, WebP, BMP, GIF and TIFF (first frame), told apart by their first bytes, never by a
name. A grey 28x28 picture is taken bit for bit; colour is brought to grey by ITU-R BT.601 luma,
16 bits are scaled to 8, and what is transparent shows the background, black. A picture is no
array: a faint one is taken as it is and not suspected of being scaled to 0..1.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from service.decode import SIDE, Images, Limits
from service.decode.diagnose import name_of
from service.decode.flaws import Flaws, check_count, refuse
from service.errors import Fault, Invalid, Malformed, TooLarge, UnsupportedType

# Pillow warns of oddities in strangers' files, in texts without bound; what matters is raised.
warnings.filterwarnings("ignore", module=r"PIL\.")

FORMATS = "PNG, JPEG, WebP, BMP, GIF and TIFF"

_READERS: tuple[tuple[re.Pattern[bytes], str, type[ImageFile.ImageFile]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG", PngImagePlugin.PngImageFile),
    (re.compile(rb"\xff\xd8\xff"), "JPEG", JpegImagePlugin.JpegImageFile),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WebP", WebPImagePlugin.WebPImageFile),
    (re.compile(rb"BM"), "BMP", BmpImagePlugin.BmpImageFile),
    (re.compile(rb"GIF8[79]a"), "GIF", GifImagePlugin.GifImageFile),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "TIFF", TiffImagePlugin.TiffImageFile),
)
_OTHERS = (
    (re.compile(rb"....ftyp(hei|hev|mif|msf)", re.DOTALL), "HEIC"),
    (re.compile(rb"....ftypavi", re.DOTALL), "AVIF"),
    (re.compile(rb"\s*<(svg|\?xml|!--)"), "SVG"),
    (re.compile(rb"%PDF"), "PDF"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"\0\0\0\x0cJXL |\xff\x0a"), "JPEG XL"),
    (re.compile(rb"\0\0[\1\2]\0"), "icon"),
    (re.compile(rb"8BPS"), "Photoshop"),
)
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF 6.0, section 15
_DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,")


def from_picture(body: bytes, limits: Limits) -> NDArray[np.uint8]:
    """The image (28, 28) in the bytes of one picture.

    Raises :class:`Malformed` for damage and for what is no picture, :class:`UnsupportedType` for
    another picture format, :class:`TooLarge` for a size over the limits, judged from the header,
    and :class:`Invalid` for a picture that is not 28x28.
    """
    if not body:
        raise Malformed("the picture is empty")
    kind, reader = _recognise(body)
    if kind == "PNG" and not body.endswith(_PNG_END):
        raise Malformed("the PNG picture is cut short or has data after its end")
    try:
        return _decode(body, kind, reader, limits)
    except Fault:
        raise
    except Exception as error:  # the decoders fail in dozens of ways on damaged bytes
        raise Malformed(f"the {kind} picture is damaged or cut short") from error


def from_pictures(bodies: Sequence[bytes], field: str, noun: str, limits: Limits) -> Images:
    """The images (n, 28, 28) of several pictures, all or nothing.

    Raises the kind of fault of the first faulty picture, and names them all by their number.
    """
    check_count(len(bodies), limits, field, noun)
    images = np.empty((len(bodies), SIDE, SIDE), np.uint8)
    flaws = Flaws(field, noun)
    kind: type[Fault] | None = None
    for index, body in enumerate(bodies):
        try:
            images[index] = from_picture(body, limits)
        except Fault as fault:
            kind = kind or type(fault)
            flaws.add(index, fault.detail)
    flaws.raise_any(kind or Invalid)
    return images


def from_base64(value: object, field: str, limits: Limits) -> Images:
    """The images (n, 28, 28) of a JSON list of pictures in base64 (RFC 4648, section 4).

    A ``data:image/...;base64,`` in front is passed over. Raises as :func:`from_pictures` does.
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
            bodies.append(b"")
            flaws.add(index, "is not base64")
    flaws.raise_any(Malformed)
    return from_pictures(bodies, field, "picture", limits)


def _recognise(body: bytes) -> tuple[str, type[ImageFile.ImageFile]]:
    for pattern, kind, reader in _READERS:
        if pattern.match(body):
            return kind, reader
    for pattern, kind in _OTHERS:
        if pattern.match(body):
            raise UnsupportedType(f"{kind} pictures are not read here; {FORMATS} are")
    raise Malformed(f"not a picture: its first bytes are not those of {FORMATS}")


def _decode(
    body: bytes, kind: str, reader: type[ImageFile.ImageFile], limits: Limits
) -> NDArray[np.uint8]:
    if kind == "WebP":
        _check_size(_webp_size(body), limits)  # its reader allocates before it can be asked
    with reader(io.BytesIO(body)) as picture:
        _check_size(picture.size, limits)
        if kind == "TIFF":
            _check_tiles(picture, limits)
        if picture.size != (SIDE, SIDE):
            width, height = picture.size
            raise Invalid(f"the picture is {width}x{height}; {SIDE}x{SIDE} is read here")
        return _to_grey(picture)


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width <= 0 or height <= 0:
        raise Malformed(f"the picture is {width}x{height}: it has no pixels")
    if max(size) > limits.picture_side or width * height > limits.picture_pixels:
        raise TooLarge(
            f"the picture is {width}x{height}; at most {limits.picture_side:,} a side and "
            f"{limits.picture_pixels:,} pixels are read"
        )


def _webp_size(body: bytes) -> tuple[int, int]:
    """The canvas of a WebP file, from its first chunk (RFC 9649)."""
    chunk = body[12:16]
    if chunk == b"VP8X":
        width, height = body[24:27], body[27:30]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(body[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = body[26:28], body[28:30]
    return int.from_bytes(width, "little") & 0x3FFF, int.from_bytes(height, "little") & 0x3FFF


def _check_tiles(picture: ImageFile.ImageFile, limits: Limits) -> None:
    """Refuses tiles over the limits: libtiff holds a whole one, however small the picture."""
    tags = getattr(picture, "tag_v2", {})
    width, length = tags.get(_TILE_WIDTH, 1), tags.get(_TILE_LENGTH, 1)
    if not isinstance(width, int) or not isinstance(length, int):
        raise Malformed("the TIFF picture's tiles have no size")
    _check_size((width, length), limits)


def _to_grey(picture: Image.Image) -> NDArray[np.uint8]:
    picture.load()
    if picture.mode.startswith("I;16"):
        wide = np.asarray(picture, dtype=np.uint32)
        return ((wide * 255 + 32767) // 65535).astype(np.uint8)
    if picture.mode in {"I", "F"}:
        raise Invalid("the picture has 32 bits a pixel; at most 16 are read")
    if picture.has_transparency_data:
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture.convert("RGBA"))
    elif picture.mode not in {"L", "1", "P"}:
        picture = picture.convert("RGB")  # CMYK, YCbCr and Lab have no way to grey but this
    if picture.mode != "L":
        picture = picture.convert("L")
    return np.frombuffer(picture.tobytes(), np.uint8).reshape(SIDE, SIDE)
