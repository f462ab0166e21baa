"""Compresses an answer for a caller who accepts that (RFC 9110, section 12.5.3)."""

import zlib

LEAST_BYTES = 1024  # to compress a smaller answer costs more than it saves

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_LEVEL = 1


def choose(accept_encoding: str | None) -> str | None:
    """Returns ``gzip`` or ``deflate``, the one of larger weight, or None if both are rejected."""
    weights: dict[str, float] = {}
    for item in (accept_encoding or "").split(","):
        name, _, parameter = item.partition(";")
        weights[name.strip().lower()] = _weight(parameter)
    anything = weights.get("*", 0.0)
    best = max(_WINDOW_BITS, key=lambda name: weights.get(name, anything))
    return best if weights.get(best, anything) > 0 else None


def compress(body: bytes, encoding: str) -> bytes:
    """Returns the body in an encoding that :func:`choose` returned."""
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS[encoding])
    return deflater.compress(body) + deflater.flush()


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    try:
        return float(value) if name.strip().lower() == "q" else 1.0
    except ValueError:
        return 0.0
