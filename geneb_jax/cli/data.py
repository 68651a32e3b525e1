"""``geneb-jax data``: bring task files, check them, describe them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geneb_jax.benchmark import Suite
    from geneb_jax.data import FolderCheck, SuiteStats, TaskStats, TaskTable

__all__ = ["command", "reading_progress", "resolve_folder"]


@click.group()
def command() -> None:
    """Fetch, check and describe task files."""


_suite_option = click.option(
    "--suite", metavar="NAME|FOLDER", help="Suite. Default: the folder's own suite.toml, or geneb."
)
_data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder of task files."
)
_task_option = click.option(
    "-t", "--task", "patterns", multiple=True, help="Task id, glob or category:NAME; repeatable."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_folder_argument = click.argument("folder", required=False, type=click.Path(path_type=Path))


@command.command()
@click.option("--suite", default="geneb", show_default=True, help="Suite name or folder.")
@_data_dir_option
@_task_option
@click.option("--endpoint", metavar="URL", help="Another hub than the default one.")
@click.option("--offline", is_flag=True, help="Open no socket; say what is missing.")
@_json_option
def fetch(
    suite: str,
    data_dir: Path | None,
    patterns: tuple[str, ...],
    endpoint: str | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Bring a suite's task files from the hub, at the pinned revision.

    An interrupted fetch goes on where it stopped; size and hash of every file are checked.

    \b
    Examples:
      geneb-jax data fetch
      geneb-jax data fetch -t 'category:Splice Sites' --data-dir tasks
      geneb-jax data fetch --offline
    """
    from geneb_jax.benchmark import load_suite, select_tasks
    from geneb_jax.cli.console import note, print_json, stderr
    from geneb_jax.data import fetch_suite, fetched_data_folder

    definition = load_suite(suite)
    destination = data_dir or fetched_data_folder(definition)
    with reading_progress("fetching") as show:
        report = fetch_suite(
            definition,
            destination,
            endpoint=endpoint,
            offline=offline,
            tasks=select_tasks(definition, patterns),
            on_file=lambda done, total, path: show(done, total),
            on_note=note if stderr().is_terminal else None,
        )
    if as_json:
        print_json(
            {
                "folder": str(report.folder),
                "present": report.present,
                "fetched": report.fetched,
                "fetched_bytes": report.fetched_bytes,
            }
        )
        return
    click.echo(
        f"{report.folder}: {report.fetched} files fetched ({report.fetched_bytes:,} bytes), "
        f"{report.present} were there"
    )


@command.command()
@_folder_argument
@_data_dir_option
@_suite_option
@_task_option
@_json_option
def check(
    folder: Path | None,
    data_dir: Path | None,
    suite: str | None,
    patterns: tuple[str, ...],
    as_json: bool,
) -> None:
    """Read every task file and name each fault by file and line.

    Exit code 2 if a task is refused, 0 otherwise; what is unusual but accepted is counted.

    \b
    Examples:
      geneb-jax data check my_tasks
      geneb-jax data check my_tasks -t 'leannmlindsey_GUE_*' --json
    """
    from geneb_jax.cli.console import print_json
    from geneb_jax.data import check_folder

    definition, source = resolve_folder(folder, data_dir, suite)
    with reading_progress("checking") as show:
        result = check_folder(definition, source, patterns, on_task=show)
    if as_json:
        print_json(
            {
                "suite": definition.name,
                "folder": str(source),
                "refused": len(result.refused),
                "tasks": [entry.as_dict() for entry in result.checks],
                "missing": [task.task_id for task in result.missing],
                "ignored": list(result.ignored),
            }
        )
    else:
        _print_check(definition, source, result)
    if result.refused:
        click.get_current_context().exit(2)


@command.command()
@_folder_argument
@_data_dir_option
@_suite_option
@_task_option
@_json_option
def stats(
    folder: Path | None,
    data_dir: Path | None,
    suite: str | None,
    patterns: tuple[str, ...],
    as_json: bool,
) -> None:
    """Rows, classes, lengths (bp), repeats, train/test overlap and letters of each task.

    Exit code 1 if a task could not be read; the others are described.

    \b
    Examples:
      geneb-jax data stats my_tasks
      geneb-jax data stats my_tasks -t category:Promoters --json
    """
    from geneb_jax.cli.console import note, print_json
    from geneb_jax.data import check_folder, suite_stats, task_stats

    definition, source = resolve_folder(folder, data_dir, suite)
    with reading_progress("reading") as show:
        result = check_folder(definition, source, patterns, on_task=show)
    for refused in result.refused:
        note(f"left out: {refused.error.message if refused.error else refused.task_id}")
    tables: list[TaskTable] = [entry.table for entry in result.checks if entry.table is not None]
    described = [task_stats(table) for table in tables]
    total = suite_stats(tables)
    if as_json:
        print_json(
            {
                "suite": definition.name,
                "folder": str(source),
                "tasks": [task.as_dict() for task in described],
                "total": total.as_dict(),
                "refused": [entry.task_id for entry in result.refused],
            }
        )
    else:
        _print_stats(described, total)
    if result.refused:
        click.get_current_context().exit(1)


@command.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder to write the suite to."
)
def simulate(out: Path) -> None:
    """Write the demo suite: 13 small simulated tasks, one a category.

    The sequences are simulated from stated biology; no organism ever wrote them.

    \b
    Examples:
      geneb-jax data simulate --out demo
      geneb-jax run --suite demo
    """
    from geneb_jax.data.demo_tasks import write_demo_suite
    from geneb_jax.durable_files import require_writable_folder

    require_writable_folder(out, option="--out")
    write_demo_suite(out)
    click.echo(f"{out}: the simulated demo suite")


def resolve_folder(
    folder: Path | None, data_dir: Path | None, suite: str | None
) -> tuple[Suite, Path]:
    """The suite and the folder that the arguments mean; says if its copies are out of date."""
    from geneb_jax.cli.console import note
    from geneb_jax.data import changed_since_import

    definition, source = _meant(folder, data_dir, suite)
    changed = changed_since_import(source)
    if changed is not None:
        note(f"warning: {changed}.")
    return definition, source


def _meant(folder: Path | None, data_dir: Path | None, suite: str | None) -> tuple[Suite, Path]:
    from geneb_jax.benchmark import SUITE_FILE, load_suite
    from geneb_jax.data import fetched_data_folder

    if folder is not None and data_dir is not None:
        raise click.UsageError("Give the folder once: as an argument or with --data-dir.")
    given = folder or data_dir
    if suite is None and given is not None and (given / SUITE_FILE).is_file():
        own = load_suite(given)
        return own, own.folder or given
    definition = load_suite(suite or "geneb")
    return definition, given or definition.folder or fetched_data_folder(definition)


@contextmanager
def reading_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr; nothing elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from geneb_jax.cli.console import stderr

    console = stderr()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:
        bar = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def _print_check(suite: Suite, folder: Path, result: FolderCheck) -> None:
    from geneb_jax.cli.console import note, print_table
    from geneb_jax.data import look_at

    rows: list[tuple[object, ...]] = []
    for entry in result.checks:
        name = entry.task_id if entry.category is not None else f"{entry.task_id} (not in suite)"
        if entry.table is None:
            message = entry.error.message if entry.error else ""
            rows.append((name, "refused", None, None, None, message))
        else:
            table = entry.table
            counts = len(table.train_sequences), len(table.test_sequences)
            rows.append((name, "ok", *counts, entry.standing.value, _notes_text(table.notes)))
    columns = ("task", "status", "train", "test", "data", "notes")
    print_table(columns, rows, right=("train", "test"))
    plural = "task" if len(result.checks) == 1 else "tasks"
    note(
        f"{len(result.checks)} {plural} read, {len(result.refused)} refused; "
        f"{len(result.missing)} of the suite {suite.name} have no file here"
    )
    standings = [entry.standing.value for entry in result.checks if entry.standing.value]
    if standings:
        counts_of = [f"{standings.count(word)} {word}" for word in dict.fromkeys(standings)]
        note(f"data beside the benchmark's: {', '.join(sorted(counts_of))}")
    if any(entry.category is None for entry in result.checks):
        note(look_at(folder, suite).hint())
    if result.ignored:
        shown = ", ".join(result.ignored[:5]) + (", ..." if len(result.ignored) > 5 else "")
        note(f"not task files: {shown}")


def _notes_text(notes: Mapping[str, int]) -> str:
    return "; ".join(f"{name.replace('_', ' ')}: {count:,}" for name, count in notes.items())


def _print_stats(tasks: list[TaskStats], total: SuiteStats) -> None:
    from geneb_jax.cli.console import note, print_table

    columns = (
        "task", "category", "train", "test", "classes", "smallest class", "min bp", "median bp",
        "max bp", "GC", "repeated train rows", "test rows in train", "conflicting sequences",
        "other letters",
    )  # fmt: skip
    print_table(columns, [_stats_row(task) for task in tasks], right=columns[2:])
    share = 1 - total.distinct_bp / total.total_bp if total.total_bp else 0.0
    note(
        f"{total.tasks} tasks, {total.rows:,} rows, {total.total_bp:,} bp; "
        f"{total.distinct_sequences:,} distinct sequences, {share:.1%} of the bases are repeats"
    )


def _stats_row(task: TaskStats) -> tuple[Any, ...]:
    letters = task.letter_counts
    return (
        task.task_id,
        task.category,
        task.train_rows,
        task.test_rows,
        task.class_count,
        min(task.train_class_counts.values()),
        task.length_bp.minimum,
        f"{task.length_bp.median:g}",
        task.length_bp.maximum,
        None if task.gc_fraction is None else f"{task.gc_fraction:.3f}",
        task.notes.get("duplicate_train_rows", 0),
        task.notes.get("test_rows_in_train", 0),
        task.notes.get("conflicting_sequences", 0),
        sum(count for letter, count in letters.items() if letter not in "ACGT"),
    )


def _register() -> None:
    from geneb_jax.cli import data_leaks

    command.add_command(data_leaks.command, "leaks")


_register()
