"""Decode a picture file to grey pixels, upright.

Reads PNG, JPEG, WebP, BMP, GIF and TIFF by their first bytes, of several frames the first. Colour
becomes ITU-R BT.601 luma, and 16 bits become 8. No step copies the whole of a large picture.
"""

import io
import logging
import re
import warnings
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, _imaging
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from service.errors import Fault, Invalid, Malformed, TooLarge, UnsupportedType
from service.imaging.sanitise import CountedFile, orientation, sanitise
from service.types import PIXELS, SIDE, Limits

# Pillow logs and warns about oddities in files without bound. Real damage raises an exception.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)
# glibc returns blocks above 32 MiB to the system at once. Pillow's usual blocks of 16 MiB would
# stay with each thread: 300 MB after a large picture.
_imaging.set_block_size(64 << 20)

FORMATS = "PNG, JPEG, WebP, BMP, GIF or TIFF"
_SIGNATURES = {
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "WebP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "BMP": re.compile(rb"BM"),
    "GIF": re.compile(rb"GIF8[79]a"),
    "TIFF": re.compile(rb"II\*\0|MM\0\*"),
}
_UNSUPPORTED = {
    "HEIC": re.compile(rb"....ftyp(hei|hev|mif|msf)", re.DOTALL),
    "AVIF": re.compile(rb"....ftypavi", re.DOTALL),
    "SVG": re.compile(rb"\s*<(svg|\?xml|!--)"),
    "PDF": re.compile(rb"%PDF"),
}
_MOST_PIXELS = dict.fromkeys(("WebP", "BMP", "GIF", "TIFF"), 16_000_000)  # held in copies
_MOST_PIXELS["BMP with run lengths"] = 1_000_000  # Pillow decodes them in Python
_MOST_SCANS, _MOST_SCANNED_PIXELS = 100, 400_000_000  # a progressive JPEG has some ten scans
_DRAFT_SIDE = 1024  # a JPEG is decoded at 1/2, 1/4 or 1/8, but not below this shorter side
_LARGEST_SIDE = 4096
_PIXEL_BYTES, _WEBP_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}, 12
_REDUCED_BYTES = 4  # for each pixel of the reduced picture: what it takes until it is grey
_TIFF_COMPRESSIONS = {
    *("raw", "tiff_ccitt", "group3", "group4"),
    *("tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"),
}
_BAND_ROWS = 64  # many operations hold the GIL: they work on bands
_TO_8_BITS = ((np.arange(1 << 16, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
_ONE_COLOUR = 80  # opaque pixels whose grey values span less are ink of one colour

_SMALL_PNG_BYTES = 1 << 13
_SMALL_GREY = bytes.fromhex("89504e470d0a1a0a0000000d494844520000001c0000001c080000000057668048")
_PNG_END = bytes.fromhex("0000000049454e44ae426082")
"""The signature and header of a grey PNG of 28x28, and a PNG's last chunk."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Grey pixels (h, w), uint8, reduced if large, and the upright original's width and height."""

    grey: NDArray[np.uint8]
    original: tuple[int, int]


def open_picture(body: bytes, limits: Limits) -> Picture:
    """Decodes one picture file; Malformed, UnsupportedType or, before any pixel, TooLarge."""
    if not body:
        raise Malformed("the picture is empty")
    if body.startswith(_SMALL_GREY) and (grey := _small_grey(body)) is not None:
        return Picture(grey, (SIDE, SIDE))
    kind = _format_of(body)
    try:
        return _decode(body, kind, limits)
    except Fault:
        raise
    except Image.DecompressionBombError as error:
        most = f"{limits.picture_pixels:,} pixels"
        raise TooLarge(f"the picture is too large; at most {most} are allowed") from error
    except Exception as error:  # the decoders raise dozens of types on damaged bytes
        raise Malformed(f"the {kind} picture is damaged or cut short") from error


def is_picture(body: bytes) -> bool:
    """Whether the bytes begin like a file of one of the formats."""
    return any(pattern.match(body) for pattern in _SIGNATURES.values())


def is_small_png(body: bytes) -> bool:
    """Whether the bytes are a PNG of 28x28 by their header, of at most 8 KiB."""
    is_28x28 = body[16:24] == b"\0\0\0\x1c\0\0\0\x1c"
    return is_28x28 and body[:8] == b"\x89PNG\r\n\x1a\n" and len(body) <= _SMALL_PNG_BYTES


def _small_grey(body: bytes) -> NDArray[np.uint8] | None:
    """The pixels of a grey PNG of 28x28 in one IDAT chunk; None for what Pillow has to judge.

    Without Pillow's Python, which takes ten times as long as its decoder.
    """
    data = body[41:-16]
    if len(body) < 57 or body[33:41] != b"%bIDAT" % len(data).to_bytes(4) or body[-12:] != _PNG_END:
        return None
    pixels, decoder = _imaging.new("L", (SIDE, SIDE)), _imaging.zip_decoder("L", "L")
    decoder.setimage(pixels, (0, 0, SIDE, SIDE))
    if decoder.decode(data) != (-1, 0):
        return None
    encoder = _imaging.raw_encoder("L", "L", 0, 1)
    encoder.setimage(pixels, (0, 0, SIDE, SIDE))
    return np.frombuffer(encoder.encode(PIXELS)[2], np.uint8).reshape(SIDE, SIDE)


def _format_of(body: bytes) -> str:
    for kind, pattern in (_SIGNATURES | _UNSUPPORTED).items():
        if pattern.match(body):
            if kind in _UNSUPPORTED:
                raise UnsupportedType(f"{kind} pictures are not supported; send {FORMATS}")
            return kind
    raise Malformed(f"not a picture: its first bytes are not those of {FORMATS}")


def _decode(body: bytes, kind: str, limits: Limits) -> Picture:
    body, exif = sanitise(body, kind)
    file = io.BytesIO(body) if kind in {"PNG", "JPEG"} else CountedFile(body)
    with Image.open(file, formats=[kind]) as whole:
        original = whole.size
        _check(whole, kind, limits)
        decoded = prod(_draft(whole, body) if kind == "JPEG" else original)
        pixel_bytes = _PIXEL_BYTES.get(whole.mode, 4)
        if isinstance(whole, WebPImageFile):
            exif, pixel_bytes = whole.info.get("exif", b""), _WEBP_PIXEL_BYTES
        needed = decoded * pixel_bytes + min(decoded, _LARGEST_SIDE**2) * _REDUCED_BYTES
        # Large pictures wait for each other: each takes up to half a gigabyte.
        with limits.hold_pixels(needed, f"the picture of {original[0]}x{original[1]}"):
            whole.load()
            grey = _to_grey(whole, _LARGEST_SIDE)
    number = orientation(exif)  # Pillow itself applies the orientation of a TIFF
    pixels, size = np.asarray(grey), original
    if number >= 5:
        pixels, size = pixels.T, original[::-1]
    upwards, leftwards = number in {3, 4, 7, 8}, number in {2, 3, 6, 7}
    return Picture(np.ascontiguousarray(pixels[:: 1 - 2 * upwards, :: 1 - 2 * leftwards]), size)


def _check(whole: ImageFile.ImageFile, kind: str, limits: Limits) -> None:
    _check_size(whole.size, kind, limits)
    if whole.mode in {"I", "F"}:
        raise Invalid("the picture has 32 bits a pixel; at most 16 are supported")
    if kind == "BMP" and whole.tile[0].codec_name == "bmp_rle":
        _check_size(whole.size, "BMP with run lengths", limits)
    if isinstance(whole, TiffImageFile):
        if whole.info["compression"] not in _TIFF_COMPRESSIONS:
            known = "uncompressed, CCITT, LZW, Deflate or PackBits"
            raise UnsupportedType(f"TIFF pictures must be {known}")
        # libtiff allocates a whole tile, however small the picture is.
        tile = whole.tag_v2.get(TILEWIDTH, 1), whole.tag_v2.get(TILELENGTH, 1)
        _check_size(tile, kind, limits)
        # Pillow would otherwise convert every number in the Exif tags when it loads the pixels.
        whole.is_animated = True


def _draft(jpeg: ImageFile.ImageFile, body: bytes) -> tuple[int, int]:
    """Has libjpeg decode in grey and reduced; returns the size that it holds in memory."""
    size = jpeg.size
    scans = body.count(b"\xff\xda")
    if scans > _MOST_SCANS:
        raise Malformed(f"the JPEG picture has more than {_MOST_SCANS} scans")
    if scans * prod(size) > _MOST_SCANNED_PIXELS:
        most = f"at most {_MOST_SCANNED_PIXELS:,} pixels in all scans together are allowed"
        raise TooLarge(f"the picture is {size[0]}x{size[1]} in {scans} scans; {most}")
    jpeg.draft("L", (_DRAFT_SIDE, _DRAFT_SIDE))
    return jpeg.size if scans == 1 else size  # libjpeg holds several scans in full size


def _check_size(size: tuple[int, int], kind: str, limits: Limits) -> None:
    width, height = size
    if width <= 0 or height <= 0:
        raise Malformed(f"the picture is {width}x{height}: it has no pixels")
    most = min(_MOST_PIXELS.get(kind, limits.picture_pixels), limits.picture_pixels)
    if max(size) > limits.picture_side or width * height > most:
        allowed = f"at most {limits.picture_side:,} pixels a side and {most:,} in all are allowed"
        raise TooLarge(f"the picture is {width}x{height}; {allowed} for {kind}")


def _to_grey(picture: Image.Image, side: int) -> Image.Image:
    """Converts a picture to the mode L, reduced by a whole factor to at most ``side`` a side.

    A transparent picture is composited. If its opaque pixels are of one colour, they are ink: dark
    ink gets a white background, light ink a black one. Otherwise they show ink on paper, and the
    background continues the paper.
    """
    factor = -(-max(picture.size) // side)
    is_transparent = picture.has_transparency_data
    if picture.mode == "L" and factor == 1 and not is_transparent:
        return picture
    width, height = picture.size
    grey = Image.new("L", (-(-width // factor), -(-height // factor)))
    alpha, of_opaque = grey.copy(), np.zeros(256, np.int64)
    for top in range(0, height, _BAND_ROWS * factor):
        band = picture.crop((0, top, width, min(height, top + _BAND_ROWS * factor)))
        if band.mode.startswith("I;16"):
            band = Image.fromarray(_TO_8_BITS[np.asarray(band)])
        elif band.mode in {"CMYK", "YCbCr", "LAB"}:
            band = band.convert("RGB")  # Pillow cannot convert these to L directly
        band = band.convert("LA" if is_transparent else "L").reduce(factor)
        if is_transparent:
            band, opacity = band.split()
            opaque = opacity.point(lambda a: 255 if a > 127 else 0)
            of_opaque += np.array(band.histogram(opaque))
            alpha.paste(opacity, (0, top // factor))
        grey.paste(band, (0, top // factor))
    if not is_transparent:
        return grey
    if not of_opaque.any():
        return Image.new("L", grey.size, 0)
    cumulative = np.cumsum(of_opaque) / of_opaque.sum()
    low, median, high = (int(np.searchsorted(cumulative, part)) for part in (0.03, 0.5, 0.97))
    background = median if high - low > _ONE_COLOUR else 255 * (median < 128)
    return Image.composite(grey, Image.new("L", grey.size, background), alpha)


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Encodes the image (h, w) as a grey PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
