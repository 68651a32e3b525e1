"""report.html: one file that opens from disk, without a network, and keeps names inert."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from geneb_jax import durable_files
from geneb_jax.analysis import (
    Leaderboard,
    Panel,
    Statistics,
    StatisticsOptions,
    build_panel,
    compute_statistics,
    pair_differences,
    published_pairs,
)
from geneb_jax.benchmark import Suite
from geneb_jax.report.boards import boards_of, row_decimals, size_text
from geneb_jax.report.class_table import class_tables
from geneb_jax.report.figure_layers import layer_figures
from geneb_jax.report.figure_parts import Figure
from geneb_jax.report.figure_profiles import heat_colour
from geneb_jax.report.figures import draw_figures
from geneb_jax.report.headlines import headlines
from geneb_jax.report.result_tables import choice_table, task_table
from geneb_jax.report.run_tables import run_tables
from geneb_jax.report.statistics_tables import paper_tables, robustness_tables
from geneb_jax.report.svg import short_name
from geneb_jax.report.sweep_table import sweep_figure
from geneb_jax.report.tables import Table, write_table
from geneb_jax.report.wording import metric_title
from geneb_jax.results import RunRecord, RunScores, ScoreRow, csv_text

__all__ = ["FIGURE_FOLDER", "REPORT_FILE", "write_panel_report", "write_report"]

REPORT_FILE = "report.html"
FIGURE_FOLDER = "figures"


def write_report(
    out: Path,
    *,
    suite: Suite,
    scores: Sequence[ScoreRow],
    run: RunRecord | None,
    published: bool = True,
) -> Path:
    """Write ``out/report.html`` and ``out/figures/`` for one run.

    The bytes depend on the arguments and this version alone.

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
    regime = boards[-1].regime
    statistics = compute_statistics(panel, StatisticsOptions(regime=regime))
    # Figures and choices are over the tasks that rank the run's models.
    cube = panel.shown
    pairs = pair_differences(cube, published_pairs(), boards[0].regime)
    figures = draw_figures(cube, boards[0].regime, pairs)
    if (curve := sweep_figure(panel.sweep)) is not None:
        figures = (curve, *figures)
    figures = (*layer_figures(panel.layers), *figures)
    for figure in figures:
        durable_files.write_text(out / FIGURE_FOLDER / f"{figure.name}.svg", str(figure.svg) + "\n")
        write_table(out / FIGURE_FOLDER, figure.data, "csv")
    metric = cube.metric
    page = _render(
        panel=panel,
        boards=boards,
        figures=figures,
        regime=boards[0].regime,
        statistics=statistics,
        headlines=headlines(boards[0], statistics),
        choice=choice_table(cube, boards[0].regime).for_metric(metric),
        own=(
            *(one.for_metric(metric) for one in run_tables(statistics)),
            *class_tables(panel.suite),
        ),
        tasks=task_table(panel.shown, boards[0].regime).for_metric(metric),
        paper=tuple(one.for_metric(metric) for one in paper_tables(statistics)),
        robustness=tuple(one.for_metric(metric) for one in robustness_tables(statistics)),
        versions=panel.versions if versions is None else versions,
    )
    path = out / REPORT_FILE
    durable_files.write_text(path, page)
    return path


def _render(
    *,
    panel: Panel,
    boards: Sequence[Leaderboard],
    figures: Sequence[Figure],
    regime: str,
    statistics: Statistics,
    headlines: Sequence[str],
    choice: Table,
    own: Sequence[Table],
    tasks: Table,
    paper: Sequence[Table],
    robustness: Sequence[Table],
    versions: Mapping[str, str],
) -> str:
    environment = Environment(
        loader=PackageLoader("geneb_jax.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = _score
    environment.filters["size"] = size_text
    environment.filters["heat"] = _heat_style
    environment.filters["short"] = short_name
    environment.filters["tip"] = _tip
    environment.filters["data_uri"] = _csv_uri
    environment.filters["decimals"] = row_decimals
    script, style = _asset(environment, "page.js.jinja"), _asset(environment, "page.css.jinja")
    # The policy names the one script by its hash: a script that slipped in would not run.
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return environment.get_template("page.html.jinja").render(
        suite=panel.suite,
        panel=panel,
        boards=boards,
        figures=figures,
        regime=regime,
        statistics=statistics,
        headlines=headlines,
        choice=choice,
        own=own,
        tasks=tasks,
        paper=paper,
        robustness=robustness,
        versions=versions,
        metric=statistics.metric,
        metric_title=metric_title(statistics.metric),
        paper_models=sum(
            one.ranked and one.facts.source != "live" for one in statistics.models.values()
        ),
        script=script,
        style=style,
        script_hash=digest,
    )


def _asset(environment: Environment, name: str) -> Markup:
    """One of our own files, without data in it, to be placed in the page as it is."""
    if environment.loader is None:
        raise RuntimeError("the environment has no loader")
    return Markup(environment.loader.get_source(environment, name)[0])  # noqa: S704


def _score(value: float | None, digits: int = 3) -> str:
    return "\u2013" if value is None else f"{value:.{digits}f}".replace("-", "\u2212")


def _tip(name: str | None, longest: int) -> Markup | str:
    """The whole of a name that is shown shortened, as a ``title`` attribute."""
    if name is None or len(name) <= longest:
        return ""
    return Markup(' title="{}"').format(name)


def _heat_style(value: float | None) -> str:
    background, ink = heat_colour(value)
    return f"background:{background};color:{ink}"


def _csv_uri(table: Table) -> str:
    """A table as a link that needs no other file."""
    content = csv_text(table.columns, table.rows).encode("utf-8")
    return "data:text/csv;base64," + base64.b64encode(content).decode("ascii")
