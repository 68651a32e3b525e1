"""The report: leaderboards, figures and tables of a run, in one HTML file. No JAX here."""

from __future__ import annotations

from geneb_jax.report.boards import boards_of, console_columns, console_rows, leaderboard_rows
from geneb_jax.report.page import REPORT_FILE, render_page, write_report

__all__ = [
    "REPORT_FILE",
    "boards_of",
    "console_columns",
    "console_rows",
    "leaderboard_rows",
    "render_page",
    "write_report",
]
