"""Compresses an answer for a caller who accepts that (RFC 9110, section 12.5.3)."""

import re
import zlib

LEAST_BYTES = 1024  # to compress a smaller answer costs more than it saves

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_ITEM = re.compile(r"\s*([^\s;,]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d*)?)\s*)?(?:,|$)")
_LEVEL = 1


def choose(accept_encoding: str | None) -> str | None:
    """Returns ``gzip``, or ``deflate`` where that alone is accepted, or None."""
    weights = {name: float(q or 1) for name, q in _ITEM.findall((accept_encoding or "").lower())}
    anything = weights.get("*", 0.0)
    return next((name for name in _WINDOW_BITS if weights.get(name, anything) > 0), None)


def compress(body: bytes, encoding: str) -> bytes:
    """Returns the body in an encoding that :func:`choose` returned."""
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS[encoding])
    return deflater.compress(body) + deflater.flush()
