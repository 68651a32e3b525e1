"""``geneb-jax run``: models x tasks to a leaderboard, resumable at any point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from geneb_jax.cli.run_options import (
    embedding_options,
    make_request,
    part_option,
    place_options,
    probe_options,
    task_options,
)

if TYPE_CHECKING:
    from geneb_jax.runs.outcome import RunOutcome

__all__ = ["command", "show_outcome"]


@click.command()
@task_options
@embedding_options
@probe_options
@place_options
@part_option
@click.option("--json", "as_json", is_flag=True, help="Print the leaderboard as JSON.")
@click.pass_context
def command(context: click.Context, /, as_json: bool, **values: Any) -> int:
    """Models x tasks -> embeddings -> probes -> records -> report.

    With no arguments: the simulated demo suite with built-in models, offline. A killed run is
    continued by the same command; what is finished is never computed again.

    \b
    Examples:
      geneb-jax run
      geneb-jax run -m kmer-4 -m kmer-6 --data-dir tasks/ --out out
      geneb-jax run -m checkpoints/my-model -t 'category:Splice Sites' --data-dir tasks/ --out out
      geneb-jax run -m kmer-5 --data-dir tasks/ --C 0.01,0.1,1,10,100 --solver exact --out sweep

    Exit codes: 0 ok; 1 some units failed; 2 bad usage or input; 75 interrupted, resumable.
    """
    request = make_request(context, values)

    from geneb_jax.cli.progress import ConsoleObserver
    from geneb_jax.runs.execute import execute

    with ConsoleObserver() as observer:
        outcome = execute(request, observer)
    return show_outcome(outcome, as_json=as_json)


def show_outcome(outcome: RunOutcome, *, as_json: bool) -> int:
    """Print the leaderboard, where the report is, and what failed; the exit code."""
    from geneb_jax.cli.console import note, print_json, print_table
    from geneb_jax.report import console_columns, console_rows, leaderboard_rows

    for label, count in outcome.waiting.items():
        note(
            f"{label}: {count:,} sequences are in the hands of other parts; the part that ends "
            "last probes. If one was lost, run any part again."
        )
    if outcome.report is None:
        if as_json:
            print_json({"suite": outcome.suite.name, "waiting": dict(outcome.waiting)})
        return 0 if outcome.complete else 1
    board = leaderboard_rows(outcome.suite, outcome.rows, outcome.run, outcome.out)
    if as_json:
        print_json(
            {
                "suite": outcome.suite.name,
                "simulated": outcome.suite.simulated,
                "leaderboard": [
                    {
                        "model_id": row.model.label,
                        "rank": row.rank,
                        "source": row.model.source,
                        "macro": dict(row.macro),
                        "micro": dict(row.micro),
                        "tasks_scored": dict(row.scored),
                    }
                    for row in board.rows
                ],
                "notes": list(board.notes),
                "report": str(outcome.report),
                "submissions": [str(path) for path in outcome.submissions],
                "problems": dict(outcome.problems),
                "waiting": dict(outcome.waiting),
            }
        )
    else:
        columns = console_columns(board)
        print_table(columns, console_rows(board), title=board.title, right=columns[3:])
    for line in board.notes:
        note(line)
    if outcome.suite.simulated:
        note("The tasks of this suite are simulated: its scores say nothing about real genomes.")
    for path in outcome.submissions:
        note(f"submission: {path}")
    for what, why in outcome.problems.items():
        note(f"failed: {what}: {why}")
    click.echo(f"report: {outcome.report}", err=as_json)
    return 0 if outcome.complete else 1
