"""What of a report does not change with the clock."""

from __future__ import annotations

import re


def timeless(page: bytes) -> bytes:
    """A page without date and cost, which stand between two marks."""
    before, times, after = re.split(b"<!--/?times-->", page)
    assert b"UTC" in times
    return before + after
