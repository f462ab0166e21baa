"""``traceparent`` is read as W3C Trace Context says."""

from __future__ import annotations

import pytest

from service.observe.traces import Trace, take_up

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("field", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-fb", True),
        (f"00-{TRACE}-{SPAN}-0a", False),
        (f"cc-{TRACE}-{SPAN}-03-what-a-later-version-adds", True),
    ],
)
def test_a_well_formed_field_names_the_trace(field: str, sampled: bool) -> None:
    assert take_up(field.encode(), None) == Trace(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "field",
    [
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}",
        "",
    ],
)
def test_another_field_names_none(field: str) -> None:
    assert take_up(field.encode(), None) is None
