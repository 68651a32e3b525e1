"""``geneb-jax data leaks``: test rows that training rows resemble."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from geneb_jax.data import TaskLeaks

__all__ = ["command"]


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of task files.")
@click.option(
    "--suite", metavar="NAME|FOLDER", help="Suite. Default: the folder's own suite.toml, or geneb."
)
@click.option(
    "-t", "--task", "patterns", multiple=True, help="Task id, glob or category:NAME; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    folder: Path | None,
    data_dir: Path | None,
    suite: str | None,
    patterns: tuple[str, ...],
    as_json: bool,
) -> None:
    """Test rows that are training rows: exactly, as the reverse complement, or nearly.

    Nearly: with some 5% of the letters changed, inserted or lost, over at least 80% of the row, on
    either strand. Also counted: test rows that are training rows of another of the tasks. A run
    looks for the same and shows each score without such rows (docs/statistics.md).

    Exit code 1 if a task could not be read; the others are searched.

    \b
    Examples:
      geneb-jax data leaks my_tasks
      geneb-jax data leaks my_tasks -t category:Promoters --json
    """
    from geneb_jax.cli.console import note, print_json
    from geneb_jax.cli.data import reading_progress, resolve_folder
    from geneb_jax.data import check_folder, kept_leaks, leaks_across

    definition, source = resolve_folder(folder, data_dir, suite)
    with reading_progress("reading") as show:
        result = check_folder(definition, source, patterns, on_task=show)
    for refused in result.refused:
        note(f"left out: {refused.error.message if refused.error else refused.task_id}")
    tables = [entry.table for entry in result.checks if entry.table is not None]
    with reading_progress("searching") as show:
        found = leaks_across(tables, search=kept_leaks, on_task=show)
    if as_json:
        print_json(
            {
                "suite": definition.name,
                "folder": str(source),
                "tasks": [task.as_dict() for task in found],
                "refused": [entry.task_id for entry in result.refused],
            }
        )
    else:
        _print(found)
    if result.refused:
        click.get_current_context().exit(1)


def _print(found: tuple[TaskLeaks, ...]) -> None:
    from geneb_jax.cli.console import note, print_table

    columns = (
        "task", "test rows", "exact", "reverse complement", "near", "any", "share",
        "rows in other tasks", "most in",
    )  # fmt: skip
    rows: list[tuple[object, ...]] = []
    for task in found:
        facts = task.as_dict()
        most = max(task.across.items(), key=lambda item: item[1], default=("", 0))
        rows.append(
            (
                task.task_id,
                facts["test_rows"],
                facts["exact"],
                facts["reverse_complement"],
                facts["near"],
                facts["any"],
                f"{facts['any'] / facts['test_rows']:.1%}",
                task.in_other_tasks,
                f"{most[0]} ({most[1]:,})" if most[0] else "",
            )
        )
    print_table(columns, rows, right=columns[1:-1])
    leaking = sum(task.leaked > 0 for task in found)
    note(
        f"{leaking} of {len(found)} tasks have test rows that their training rows resemble: "
        f"{sum(task.leaked for task in found):,} of {sum(len(task.kinds) for task in found):,} rows"
    )
