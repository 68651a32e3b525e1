"""``geneb-jax stats``: the paper's statistics, recomputed, with the user's models added."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geneb_jax.cli.panel_options import (
    elsewhere_options,
    folders_argument,
    panel_options,
    read_panel,
    regime_option,
)

if TYPE_CHECKING:
    from geneb_jax.analysis import Correlation, ScoreCube, Statistics
    from geneb_jax.report import Table

__all__ = ["command"]


@click.command()
@folders_argument
@panel_options
@elsewhere_options
@regime_option
@click.option(
    "--without",
    multiple=True,
    help="Model left out of the second scaling correlation. Repeatable; default: evo-1-131k-base.",
)
@click.option(
    "--factor",
    type=click.FloatRange(min=1.0, min_open=True),
    default=5.0,
    show_default=True,
    help="How many times larger a beaten model must be.",
)
@click.option(
    "--spread",
    type=click.FloatRange(min=0.0),
    default=0.12,
    show_default=True,
    help="Standard deviation over models above which a task is of high variance.",
)
@click.option(
    "--pairs",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV of your own controlled pairs: model_a,model_b,factor.",
)
@click.option(
    "--export", type=click.Path(path_type=Path, file_okay=False), help="Write tables here."
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["csv", "parquet", "md", "tex"]),
    help="Format of the exported tables. Repeatable; default: csv.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    runs: tuple[Path, ...],
    no_published: bool,
    sizes: str,
    suite: str | None,
    submissions: tuple[Path, ...],
    metric: str,
    regime: str,
    without: tuple[str, ...],
    factor: float,
    spread: float,
    pairs: Path | None,
    export: Path | None,
    formats: tuple[str, ...],
    as_json: bool,
) -> None:
    """The paper's statistics, from the published scores and those of your runs.

    RUN is the output folder of a run; with none, the published scores alone. A mean over tasks of
    which one is missing is withheld. docs/statistics.md defines every number and JSON key.

    \b
    Examples:
      geneb-jax stats
      geneb-jax stats --json | jq .scaling.macro
      geneb-jax stats out --regime 10shot
      geneb-jax stats --submissions leaderboard/submissions --metric macro_f1
      geneb-jax stats out --export tables --format md --format tex
    """
    from geneb_jax.analysis import (
        StatisticsOptions,
        compute_statistics,
        read_pairs,
        statistics_document,
    )
    from geneb_jax.cli.console import note, print_json

    panel = read_panel(
        runs,
        suite=suite,
        published=not no_published,
        sizes=sizes,
        submissions=submissions,
        metric=metric,
    )
    for name in without:
        panel.cube.model_index(name)
    options = StatisticsOptions(
        regime=regime,
        factor=factor,
        spread=spread,
        pairs=read_pairs(pairs, panel.cube) if pairs else (),
        without=without or StatisticsOptions().without,
    )
    statistics = compute_statistics(panel, options)
    for text in statistics.notices[len(panel.notices) :]:  # the panel's own are told already
        note(text)
    tables = _tables(statistics, panel.ranked, regime)
    if export is not None:
        from geneb_jax.report import write_table

        for table in tables:
            for suffix in formats or ("csv",):
                write_table(export, table, suffix)
        note(f"{len(tables)} tables in {export}")
    if as_json:
        print_json(statistics_document(statistics))
    elif export is None:
        _show(statistics, tables)


def _tables(statistics: Statistics, cube: ScoreCube, regime: str) -> list[Table]:
    from geneb_jax.report import (
        category_table,
        choice_table,
        leaderboard_table,
        pair_table,
        paper_tables,
        robustness_tables,
        run_tables,
        score_table,
        task_table,
    )

    tables = [
        leaderboard_table(statistics),
        category_table(statistics),
        score_table(cube),
        task_table(cube, regime),
        choice_table(cube, regime),
        pair_table(statistics),
        *paper_tables(statistics),
        *robustness_tables(statistics),
        *run_tables(statistics),
    ]
    return [table.for_metric(statistics.metric) for table in tables]


def _show(statistics: Statistics, tables: Sequence[Table]) -> None:
    from geneb_jax.cli.console import print_table
    from geneb_jax.report import in_metric

    scaling, rest = statistics.scaling.macro, statistics.scaling_without
    found = statistics.smaller_beats_larger
    lines = [
        ("models", len(statistics.leaderboard)),
        ("tasks", statistics.tasks),
        *(
            (in_metric(f"mean macro MCC, {name}", statistics.metric), _number(value))
            for name, value in statistics.mean_macro.items()
        ),
        ("rho of log size and macro", _number(_rho(scaling))),
        ("  p", _number(None if scaling is None else scaling.p)),
        ("  without " + ", ".join(rest.left_out), _number(_rho(rest.macro))),
        ("rho of micro and macro", _number(statistics.micro_macro_rho)),
        ("high-variance tasks", len(statistics.high_variance)),
        (f"smaller beats {found.factor:g}x larger", len(found.pairs)),
    ]
    print_table(("statistic", "value"), lines, title="Overview", right=("value",))
    for table in tables:
        if table.name in {"scores", "categories", "tasks", "own-scores"} or not table.rows:
            continue
        right = [name for k, name in enumerate(table.columns) if table.numeric(k)]
        shown = [table.shown_row(row) for row in table.rows]
        click.echo()
        print_table(table.columns, shown, title=table.title, right=right)


def _rho(found: Correlation | None) -> float | None:
    return None if found is None else found.rho


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.4f}"
