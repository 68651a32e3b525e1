"""report.html: one file that opens from disk, without a network, and keeps names inert."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from geneb_jax import durable_files
from geneb_jax.analysis import (
    Leaderboard,
    Panel,
    Statistics,
    StatisticsOptions,
    build_panel,
    compute_statistics,
    pair_differences,
    pair_intervals,
    published_pairs,
)
from geneb_jax.benchmark import Suite, Task
from geneb_jax.report.answers import answers, held_back, own_row
from geneb_jax.report.boards import boards_of
from geneb_jax.report.check_lines import check_lines
from geneb_jax.report.class_table import class_tables
from geneb_jax.report.figure_layers import layer_figures
from geneb_jax.report.figure_parts import Figure
from geneb_jax.report.figure_standing import standing_drawing, standing_figure
from geneb_jax.report.figures import draw_figures
from geneb_jax.report.first_screen import devices_of, links, subtitle, times_of, uses_of
from geneb_jax.report.page_filters import asset, page_environment
from geneb_jax.report.page_numbers import page_numbers
from geneb_jax.report.result_tables import (
    EVERYTHING,
    category_answers,
    choice_table,
    task_table,
)
from geneb_jax.report.run_tables import run_tables
from geneb_jax.report.statistics_tables import paper_tables, robustness_tables
from geneb_jax.report.sweep_table import sweep_figure
from geneb_jax.report.tables import write_table
from geneb_jax.report.wording import metric_title
from geneb_jax.results import RunRecord, RunScores, ScoreRow

__all__ = ["FIGURE_FOLDER", "REPORT_FILE", "write_panel_report", "write_report"]

REPORT_FILE = "report.html"
FIGURE_FOLDER = "figures"
#: Figures that stand open on the page; the others are behind a fold.
_OPEN = ("figure-2-pareto", "figure-3-heatmap")


def write_report(
    out: Path,
    *,
    suite: Suite,
    scores: Sequence[ScoreRow],
    run: RunRecord | None,
    published: bool = True,
) -> Path:
    """Write ``out/report.html`` and ``out/figures/`` for one run.

    The bytes depend on the arguments and this version alone; of ``run``, date and cost stand
    between the marks ``<!--times-->`` and ``<!--/times-->`` and nowhere else.

    Args:
        out: The run's output folder.
        suite: Its suite, whole or restricted to the chosen tasks.
        scores: Its rows of scores.csv.
        run: Its run.json.
        published: Whether to show the published models beside the run's; they never stand beside a
            simulated suite.

    Returns:
        The path of the report.

    Raises:
        DataError: if the rows contradict themselves or the suite.
        OutputError: if the folder cannot be written.
    """
    panel = build_panel([RunScores(suite, scores, run, out)], published=published)
    return write_panel_report(out, panel)


def write_panel_report(
    out: Path, panel: Panel, *, versions: Mapping[str, str] | None = None
) -> Path:
    """Write the report and the figures of a panel; see :func:`write_report`.

    Args:
        out: The output folder.
        panel: Who is compared with whom.
        versions: Package versions to name at the foot of the page; by default the panel's.
    """
    boards = boards_of(panel)
    statistics = compute_statistics(panel, StatisticsOptions(regime=boards[-1].regime))
    own_figures, figures, leaders = _figures(panel, boards[0])
    for figure in (*own_figures, *figures, *([leaders] if leaders else [])):
        durable_files.write_text(out / FIGURE_FOLDER / f"{figure.name}.svg", str(figure.svg) + "\n")
        write_table(out / FIGURE_FOLDER, figure.data, "csv")
    context = _context(panel, boards, statistics)
    context |= {
        "own_figures": own_figures,
        "pictures": [figure for figure in figures if figure.name in _OPEN],
        "folds": [figure for figure in figures if figure.name not in _OPEN],
        "leaders": leaders,
        "versions": panel.versions if versions is None else versions,
    }
    path = out / REPORT_FILE
    durable_files.write_text(path, _render(panel, boards[0], context))
    return path


def _figures(
    panel: Panel, board: Leaderboard
) -> tuple[tuple[Figure, ...], tuple[Figure, ...], Figure | None]:
    """What only a run has; the paper's; the leaderboard's own."""
    # Figures and choices are over the tasks that rank the run's models.
    cube, regime = panel.shown, board.regime
    # Curves over layers go by the model's name, those over C by a label.
    titles = {model.name: model.display for model in panel.cube.models}
    titles |= {model.label: model.title for model in panel.cube.models}
    curve = sweep_figure(panel.sweep, titles)
    own = (*layer_figures(panel.layers, titles), *([curve] if curve else []))
    return (
        own,
        draw_figures(cube, regime, pair_differences(cube, published_pairs(), regime)),
        standing_figure(board),
    )


def _context(panel: Panel, boards: Sequence[Leaderboard], statistics: Statistics) -> dict[str, Any]:
    """Everything the templates are given but the figures."""
    board, cube = boards[0], panel.shown
    regime, metric = board.regime, cube.metric
    # Nobody is told to use an untrained control, also where chance lets one win.
    trained = np.array([not model.untrained for model in cube.models], dtype=bool)
    offered = cube.select_models(trained) if trained.any() else cube
    choices = category_answers(offered, regime)
    shared = panel.cube if panel.common is None else panel.common
    pairs = pair_intervals(shared, regime, predictions=panel.predictions)
    uses = uses_of(choices[0])
    mine = own_row(board)
    checks = check_lines(board, panel, statistics)
    said = {line for check in panel.checks for line in check.found}
    tasks = task_table(cube, regime).for_metric(metric)
    titles = {model.label: model.title for model in panel.cube.models}
    by_category: dict[str, list[tuple[int, Task]]] = {}
    for place, task in enumerate(shared.tasks):
        by_category.setdefault(task.category, []).append((place, task))
    ranked = any(row.rank is not None for row in board.rows)
    return {
        "suite": panel.suite,
        "panel": panel,
        "boards": boards,
        "board_tasks": by_category,
        "regime": regime,
        "statistics": statistics,
        "subtitle": subtitle(board, panel),
        "links": links() if panel.published or panel.suite.dataset else {},
        "answers": answers(board, panel, statistics, pairs),
        "holds": held_back(cube, mine.model.label, regime) if mine else [],
        "choice": choice_table(offered, regime, found=choices).for_metric(metric),
        "uses": uses,
        "everything": EVERYTHING,
        "has_small": any(use.small for use in uses),
        "has_yours": any(use.yours_rank for use in uses)
        and any(model.source != "user" for model in cube.models),
        "has_own": mine is not None,
        "standing": standing_drawing(board).markup() if ranked else None,
        "checks": checks,
        "wrong": sum(line.wrong for line in checks),
        "general": [line for line in panel.notices if line not in said],
        "footnotes": statistics.notices[len(panel.notices) :],
        "own": [
            *(one.for_metric(metric) for one in run_tables(statistics)),
            *class_tables(panel.suite),
        ],
        "tasks": replace(tasks, columns=tuple(titles.get(name, name) for name in tasks.columns)),
        "paper": [one.for_metric(metric) for one in paper_tables(statistics)],
        "robustness": [one.for_metric(metric) for one in robustness_tables(statistics)],
        "metric": metric,
        "metric_title": metric_title(metric),
        "paper_models": sum(
            one.ranked and one.facts.source != "live" for one in statistics.models.values()
        ),
        "devices": devices_of(panel.records),
        "times": times_of(panel),
        # Within a template element, text needs no more than these two letters escaped.
        "numbers": escape(page_numbers(board, panel, statistics, pairs, choices[0])).replace(
            Markup("&#34;"), Markup('"')
        ),
    }


def _render(panel: Panel, board: Leaderboard, context: Mapping[str, Any]) -> str:
    environment = page_environment(board, panel.cube.models)
    parts = {"panels": "panels.js.jinja", "chooser": "chooser.js.jinja"}
    script = asset(environment, "page.js.jinja", **parts)
    # The policy names the one script by its hash: a script that slipped in would not run.
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return environment.get_template("page.html.jinja").render(
        **context, script=script, style=asset(environment, "page.css.jinja"), script_hash=digest
    )
