"""Times as cards, the journal and the commands write them: ISO 8601, UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """Returns the present time, such as ``2026-11-24T12:00:00Z``."""
    return as_text(datetime.now(UTC).timestamp())


def as_text(seconds: float) -> str:
    """Returns a time, in seconds since 1970, in the same form."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
