"""Labelled rows for every layout."""

from __future__ import annotations

import pytest

from tests.layouts.published_layouts import Row, labelled_rows


@pytest.fixture(scope="session")
def rows() -> tuple[Row, ...]:
    """107 rows of two classes."""
    return labelled_rows()
