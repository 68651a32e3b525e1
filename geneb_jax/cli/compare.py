"""``geneb-jax compare``: two models or two runs, paired task by task."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.cli.panel_options import read_panel, regime_option, suite_option

if TYPE_CHECKING:
    from geneb_jax.analysis import PairedComparison, Panel, RowComparison, ScoreCube

__all__ = ["command"]

WORSE = 1
#: Tasks listed one by one on the screen.
MOST_TASKS = 12


@click.command()
@click.argument("first")
@click.argument("second")
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Output folder of a run in which to look for the models. Repeatable.",
)
@suite_option
@regime_option
@click.option(
    "--level",
    type=click.FloatRange(0.5, 0.999),
    default=0.95,
    show_default=True,
    help="Level of the intervals.",
)
@click.option(
    "--fail-if-worse",
    is_flag=True,
    help="Exit with 1 if the first is worse: the whole interval lies below minus the margin.",
)
@click.option(
    "--margin",
    type=click.FloatRange(min=0.0),
    default=0.0,
    show_default=True,
    help="How much worse --fail-if-worse lets pass, in macro MCC.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    first: str,
    second: str,
    runs: tuple[Path, ...],
    suite: str | None,
    regime: str,
    level: float,
    fail_if_worse: bool,
    margin: float,
    as_json: bool,
) -> int:
    """Compare FIRST with SECOND over the tasks both have.

    Each is a model (published, or of a --run) or the output folder of a run. Two folders are
    compared model by model where ids agree, or as they are where each has one model. The interval
    is a bootstrap over tasks within categories; with fewer than two tasks there is none, and
    --fail-if-worse goes by the difference itself. Two models of your runs are also compared on the
    very same test rows, from the predictions that runs keep: which tasks tell them apart.

    \b
    Examples:
      geneb-jax compare MutBERT GROVER
      geneb-jax compare my-model MutBERT --run out --regime 10shot
      geneb-jax compare out-new out-old --fail-if-worse --margin 0.002
    """
    from geneb_jax.cli.console import print_json

    found = _comparisons(first, second, runs, suite, regime, level)
    if as_json:
        print_json([asdict(comparison) for comparison in found])
    else:
        for comparison in found:
            _show(comparison)
    worse = any(_is_worse(comparison, margin) for comparison in found)
    return WORSE if fail_if_worse and worse else 0


def _is_worse(comparison: PairedComparison, margin: float) -> bool:
    upper = comparison.interval.high if comparison.interval else comparison.difference
    return upper < -margin


def _comparisons(
    first: str, second: str, runs: tuple[Path, ...], suite: str | None, regime: str, level: float
) -> list[PairedComparison]:
    from geneb_jax.analysis import compare_models, join_cubes
    from geneb_jax.results import read_run_folder, require_same_data

    folders = [*runs, *(Path(name) for name in (first, second) if Path(name).is_dir())]
    require_same_data([read_run_folder(folder, suite) for folder in folders])
    sides = [_side(name, runs, suite) for name in (first, second)]
    cubes = [side.cube for side in sides]
    found = []
    for names in _paired(first, second, cubes):
        both = join_cubes(
            *(
                cube.select_models([cube.model_index(name)])
                for cube, name in zip(cubes, names, strict=True)
            )
        )
        kept = {
            name: side.predictions[own]
            for side, own, name in zip(sides, names, both.model_ids, strict=True)
            if own in side.predictions
        }
        one, two = both.model_ids
        found.append(compare_models(both, one, two, regime, level=level, predictions=kept))
    return found


def _paired(first: str, second: str, cubes: list[ScoreCube]) -> list[tuple[str, str]]:
    """Labels to compare: of two folders those in both, or the one model of each."""
    from geneb_jax.cli.console import note
    from geneb_jax.errors import SelectionError
    from geneb_jax.results import listed

    if not all(Path(name).is_dir() for name in (first, second)):
        return [(_model_in(cubes[0], first), _model_in(cubes[1], second))]
    labels = [cube.model_ids for cube in cubes]
    shared = [label for label in labels[0] if label in labels[1]]
    if not shared and not len(labels[0]) == len(labels[1]) == 1:
        raise SelectionError(
            "the two runs have no model in common",
            hint="name a model of each, with --run for both folders",
        )
    if not shared:
        return [(labels[0][0], labels[1][0])]
    if alone := [label for label in (*labels[0], *labels[1]) if label not in shared]:
        note(f"in one of the two runs only, so not compared: {listed(alone, 5)}")
    return [(label, label) for label in shared]


def _side(name: str, runs: tuple[Path, ...], suite: str | None) -> Panel:
    """Every model that a name may mean."""
    folder = Path(name)
    if folder.is_dir():
        return read_panel([folder], suite=suite, published=False)
    return read_panel(runs, suite=suite, published=True)


def _model_in(cube: ScoreCube, name: str) -> str:
    from geneb_jax.errors import SelectionError

    if Path(name).is_dir():
        if len(cube.models) != 1:
            raise SelectionError(
                f"the run has {len(cube.models)} models",
                where=name,
                hint=f"name one of {', '.join(cube.model_ids[:6])}, with --run {name}",
            )
        return cube.model_ids[0]
    return cube.model_ids[cube.model_index(name)]


def _show(comparison: PairedComparison) -> None:
    from geneb_jax.cli.console import note, print_table

    def signed(value: float | None) -> str:
        return "" if value is None else f"{value:+.4f}"

    def spread(interval: Any) -> str:
        return "" if interval is None else f"{interval.low:+.4f} to {interval.high:+.4f}"

    c = comparison
    rows = [
        ("macro", c.tasks, signed(c.difference), spread(c.interval), c.ahead),
        *(
            (part.category, part.tasks, signed(part.difference), spread(part.interval), part.ahead)
            for part in c.categories
        ),
    ]
    print_table(
        ("category", "tasks", "difference", "interval", "ahead"),
        rows,
        title=f"{c.model_a} minus {c.model_b}, {c.regime}",
        right=("tasks", "difference", "ahead"),
    )
    print_table(
        ("figure", "value"),
        [
            ("ahead / equal / behind", f"{c.ahead} / {c.equal} / {c.behind}"),
            ("chance to be ahead on a task", f"{c.superiority:.3f}"),
            (
                "share of resamplings ahead",
                "" if c.probability_better is None else f"{c.probability_better:.3f}",
            ),
            ("Wilcoxon p over tasks", "" if c.wilcoxon_p is None else f"{c.wilcoxon_p:.2g}"),
            *_row_figures(c.rows),
        ],
    )
    if c.rows is not None:
        _show_rows(c, c.rows)
    else:
        note("no comparison by test rows: they need predictions of both, kept by runs on one data")
    if c.tasks < c.suite_tasks:
        note(f"on {c.tasks} of the suite's {c.suite_tasks} tasks, those both have")


def _show_rows(comparison: PairedComparison, rows: RowComparison) -> None:
    """Task by task on the same test rows, the largest differences first."""
    from geneb_jax.cli.console import note, print_table

    print_table(
        ("task", "test rows", "difference", "interval over rows"),
        [
            (
                one.task_id,
                one.test_rows,
                f"{one.interval.estimate:+.4f}",
                f"{one.interval.low:+.4f} to {one.interval.high:+.4f}",
            )
            for one in sorted(rows.tasks, key=lambda one: -abs(one.interval.estimate))[:MOST_TASKS]
        ],
        title="On the same test rows",
        right=("test rows", "difference"),
    )
    note(
        f"compared row by row on {len(rows.tasks)} of {comparison.tasks} tasks, {rows.test_rows:,} "
        "test rows; intervals over rows take the tasks as they are"
    )
    if len(rows.tasks) > MOST_TASKS:
        note(f"the table has the {MOST_TASKS} largest differences; --json has them all")


def _row_figures(rows: RowComparison | None) -> list[tuple[str, str]]:
    if rows is None:
        return []
    unclear = len(rows.tasks) - rows.clearly_ahead - rows.clearly_behind
    return [
        (
            "by test rows: ahead / not told apart / behind",
            f"{rows.clearly_ahead} / {unclear} / {rows.clearly_behind}",
        ),
        (
            "macro over test rows",
            f"{rows.interval.estimate:+.4f}, {rows.interval.low:+.4f} to {rows.interval.high:+.4f}",
        ),
    ]
