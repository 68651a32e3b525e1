"""The field's published layouts, read and made suites of one's own."""

from __future__ import annotations

from geneb_jax.data.layouts.import_suite import import_suite, init_suite
from geneb_jax.data.layouts.imported_suite import ImportedSuite, summary
from geneb_jax.data.layouts.options import ImportOptions, read_column_option, read_split_option

__all__ = [
    "ImportOptions",
    "ImportedSuite",
    "import_suite",
    "init_suite",
    "read_column_option",
    "read_split_option",
    "summary",
]
