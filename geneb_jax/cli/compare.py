"""``geneb-jax compare``: two models or two runs, paired task by task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geneb_jax.cli.panel_options import (
    elsewhere_options,
    read_panel,
    regime_option,
    suite_option,
)

if TYPE_CHECKING:
    from geneb_jax.analysis import Interval, PairedComparison, Panel, RowComparison, ScoreCube

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
@elsewhere_options
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
    submissions: tuple[Path, ...],
    metric: str,
    level: float,
    fail_if_worse: bool,
    margin: float,
    as_json: bool,
) -> int:
    """Compare FIRST with SECOND over the tasks both have.

    Each is a model (of a --run, of --submissions, or published) or the output folder of a run. A
    name that your run and the published table share is your run's. Two folders are compared model
    by model, by identity and else by name, which is said; or as they are where each has one model.
    Tasks whose files differ between runs are left out, and beside a published model those on data
    unlike the benchmark's. The interval is a bootstrap over tasks within categories, the
    leaderboard's own. Below five tasks there is none: then --fail-if-worse goes by the interval
    over test rows, or else by the difference itself. Two models of your runs are also compared on
    the very same test rows, from the predictions that runs keep: which tasks tell them apart.

    \b
    Examples:
      geneb-jax compare MutBERT GROVER
      geneb-jax compare my-model MutBERT --run out --regime 10shot
      geneb-jax compare out-new out-old --fail-if-worse --margin 0.002
    """
    from geneb_jax.cli.console import print_json

    found = _comparisons(
        first, second, _Sources(runs, suite, submissions, metric), regime=regime, level=level
    )
    if as_json:
        print_json([asdict(comparison) for comparison in found])
    else:
        for comparison in found:
            _show(comparison)
    worse = any(_is_worse(comparison, margin) for comparison in found)
    return WORSE if fail_if_worse and worse else 0


def _is_worse(comparison: PairedComparison, margin: float) -> bool:
    interval = comparison.decisive
    return (interval.high if interval else comparison.difference) < -margin


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where the names of models are looked for, and by which score they are compared."""

    runs: tuple[Path, ...]
    suite: str | None
    submissions: tuple[Path, ...]
    metric: str


def _comparisons(
    first: str, second: str, sources: _Sources, *, regime: str, level: float
) -> list[PairedComparison]:
    from geneb_jax.analysis import compare_models, join_cubes, without_changed_files
    from geneb_jax.cli.console import note
    from geneb_jax.results import read_run_folder, require_same_data

    folders = [*sources.runs, *(Path(name) for name in (first, second) if Path(name).is_dir())]
    runs = [read_run_folder(folder, sources.suite) for folder in folders]
    require_same_data(runs)
    sides = _sides((first, second), sources)
    cubes = [without_changed_files(side.cube, runs)[0] for side in sides]
    for sentence in without_changed_files(cubes[0], runs)[1]:
        note(sentence)
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
    """Labels to compare: of two folders the models in both, or the one model of each."""
    from geneb_jax.cli.console import note
    from geneb_jax.errors import SelectionError
    from geneb_jax.results import listed

    if not all(Path(name).is_dir() for name in (first, second)):
        return [(_model_in(cubes[0], first), _model_in(cubes[1], second))]
    one, two = cubes
    pairs = _same_models(one, two)
    if not pairs and not len(one.models) == len(two.models) == 1:
        raise SelectionError(
            "the two runs have no model in common",
            hint="name a model of each, with --run for both folders",
        )
    if not pairs:
        pairs = [(0, 0)]
    for a, b in pairs:
        identities = one.models[a].identity_short, two.models[b].identity_short
        if all(identities) and identities[0] != identities[1]:
            note(
                f"{one.model_ids[a]} and {two.model_ids[b]} are two different models (identities "
                f"{identities[0]} and {identities[1]}), compared by "
                + ("name" if one.model_ids[a] == two.model_ids[b] else "place")
            )
    taken = [{pair[side] for pair in pairs} for side in (0, 1)]
    if alone := [
        label
        for cube, rows in zip(cubes, taken, strict=True)
        for row, label in enumerate(cube.model_ids)
        if row not in rows
    ]:
        note(f"in one of the two runs only, so not compared: {listed(alone, 5)}")
    return [(one.model_ids[a], two.model_ids[b]) for a, b in pairs]


def _same_models(one: ScoreCube, two: ScoreCube) -> list[tuple[int, int]]:
    """Positions of what is one model: by identity first, and of the rest by label."""
    found: dict[int, int] = {}
    for key in ("identity_short", "label"):
        free = {
            name: row
            for row, name in enumerate(getattr(model, key) for model in two.models)
            if name and row not in found.values()
        }
        for row, model in enumerate(one.models):
            if row not in found and getattr(model, key) in free:
                found[row] = free[getattr(model, key)]
    return sorted(found.items())


def _sides(names: tuple[str, str], sources: _Sources) -> list[Panel]:
    """Every model that each name may mean; what is to be said of them is said once."""
    found: dict[str, Panel] = {}
    panels = []
    for name in names:
        folder = name if Path(name).is_dir() else ""
        if folder not in found:
            found[folder] = (
                read_panel(
                    [Path(folder)], suite=sources.suite, published=False, metric=sources.metric
                )
                if folder
                else read_panel(
                    sources.runs,
                    suite=sources.suite,
                    published=True,
                    submissions=sources.submissions,
                    metric=sources.metric,
                )
            )
        panels.append(found[folder])
    return panels


def _model_in(cube: ScoreCube, name: str) -> str:
    """The label that a name means: of several sources your run's, and that is said."""
    from geneb_jax.cli.console import note
    from geneb_jax.errors import SelectionError

    if Path(name).is_dir():
        if len(cube.models) != 1:
            raise SelectionError(
                f"the run has {len(cube.models)} models",
                where=name,
                hint=f"name one of {', '.join(cube.model_ids[:6])}, with --run {name}",
            )
        return cube.model_ids[0]
    for word in ("run", "submission"):
        label = f"{name} ({word})"
        if name in cube.model_ids and label in cube.model_ids:
            whose = "of your run" if word == "run" else "of the submission"
            note(f"{name!r} is {whose}, not the published model of that name")
            return label
    return cube.model_ids[cube.model_index(name)]


def _show(comparison: PairedComparison) -> None:
    from geneb_jax.analysis import FEWEST_TASKS
    from geneb_jax.cli.console import counted, note, print_table

    c = comparison
    rows = [
        ("macro", c.tasks, *_with_interval(c.difference, c.interval), c.ahead),
        *(
            (part.category, part.tasks, *_with_interval(part.difference, part.interval), part.ahead)
            for part in c.categories
        ),
    ]
    print_table(
        ("category", "tasks", "difference", "interval", "ahead"),
        rows,
        title=f"{c.model_a} minus {c.model_b}, {c.regime}, {c.metric}",
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
    if c.interval is None:
        note(f"{counted(c.tasks, 'task')}: below {FEWEST_TASKS} there is no interval over tasks")
    if c.tasks < c.suite_tasks:
        note(f"on {c.tasks} of the suite's {c.suite_tasks} tasks, those both have")


def _with_interval(value: float, interval: Interval | None) -> tuple[str, str]:
    """A difference and its interval, with the digits that the interval leaves meaning to."""
    from geneb_jax.report import decimals_of

    if interval is None:
        return f"{value:+.{decimals_of(None, None)}f}", ""
    digits = decimals_of(interval.low, interval.high)
    low, high = (f"{bound:+.{digits}f}" for bound in (interval.low, interval.high))
    return f"{value:+.{digits}f}", f"{low} to {high}"


def _show_rows(comparison: PairedComparison, rows: RowComparison) -> None:
    """Task by task on the same test rows, the largest differences first."""
    from geneb_jax.cli.console import note, print_table

    print_table(
        ("task", "test rows", "difference", "interval over rows"),
        [
            (
                one.task_id,
                one.test_rows,
                *_with_interval(one.interval.estimate, one.interval),
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
            ", ".join(_with_interval(rows.interval.estimate, rows.interval)),
        ),
    ]
