"""The report: leaderboards, figures and tables of a run, in one HTML file. No JAX here."""

from __future__ import annotations

from geneb_jax.report.boards import (
    boards_of,
    console_columns,
    console_rows,
    leaderboard_rows,
    size_text,
)
from geneb_jax.report.headlines import result_sentence
from geneb_jax.report.layer_tables import console_layers, layer_sentences
from geneb_jax.report.page import FIGURE_FOLDER, REPORT_FILE, write_panel_report, write_report
from geneb_jax.report.result_tables import (
    category_table,
    choice_table,
    leaderboard_table,
    pair_table,
    score_table,
    task_table,
)
from geneb_jax.report.run_tables import run_tables
from geneb_jax.report.stability_tables import stability_tables
from geneb_jax.report.statistics_tables import paper_tables, robustness_tables
from geneb_jax.report.sweep_table import console_sweep, sweep_sentences
from geneb_jax.report.tables import FORMATS, Table, write_table
from geneb_jax.report.wording import decimals_of, in_metric, metric_title

__all__ = [
    "FIGURE_FOLDER",
    "FORMATS",
    "REPORT_FILE",
    "Table",
    "boards_of",
    "category_table",
    "choice_table",
    "console_columns",
    "console_layers",
    "console_rows",
    "console_sweep",
    "decimals_of",
    "in_metric",
    "layer_sentences",
    "leaderboard_rows",
    "leaderboard_table",
    "metric_title",
    "pair_table",
    "paper_tables",
    "result_sentence",
    "robustness_tables",
    "run_tables",
    "score_table",
    "size_text",
    "stability_tables",
    "sweep_sentences",
    "task_table",
    "write_panel_report",
    "write_report",
    "write_table",
]
