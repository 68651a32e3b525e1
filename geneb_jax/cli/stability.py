"""``geneb-jax stability``: does the ranking hold with another probe, another C."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.cli.run_options import (
    embedding_options,
    make_request,
    number_list,
    place_options,
    task_options,
)

if TYPE_CHECKING:
    from geneb_jax.runs.stability import StabilityOutcome

__all__ = ["command"]

OUT = "geneb-stability"


@click.command()
@task_options
@embedding_options
@click.option(
    "--C",
    "C",
    multiple=True,
    callback=number_list(float),
    help="Values of C, comma list. Default: the paper's 0.01,0.1,1,10,100.",
)
@click.option(
    "--seed",
    multiple=True,
    callback=number_list(int),
    help="Few-shot seeds, comma list. Default: the protocol's five.",
)
@click.option(
    "--mlp-seed",
    "mlp_seeds",
    multiple=True,
    callback=number_list(int),
    help="Seeds of the MLP, comma list; scores are averaged. Default: the protocol's first.",
)
@click.option("--solver", help="Of the linear probe. Default: reference.")
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print the tables as one JSON document.")
@click.pass_context
def command(
    context: click.Context, /, mlp_seeds: tuple[int, ...], as_json: bool, **values: Any
) -> int:
    """The paper's study of probe stability (Tables 7-13) for any models and tasks.

    A linear probe at five values of C in every regime, an MLP on all training rows, and how well
    their rankings agree: over models, over cells, task by task. Without -m and -t: the paper's 11
    models and 13 tasks, those without a file left out and named. The tables are printed and
    written to OUT/stability/*.csv; the scores are an ordinary run's, resumable like one.

    \b
    Examples:
      geneb-jax stability -m kmer-4 -m kmer-5 -m kmer-6 --data-dir tasks/
      geneb-jax stability --data-dir tasks/ --weights random -t category:Promoters
    """
    from geneb_jax.analysis import published_probe_subset
    from geneb_jax.cli.progress import ConsoleObserver
    from geneb_jax.runs.stability import run_stability

    named = bool(values["model"] or values["config"])
    demo = not values["data_dir"] and values["suite"] in (None, "demo")
    if not named and not demo:
        values["model"] = published_probe_subset().models
    extra: dict[str, Any] = {} if named or demo else {"model": list(values["model"])}
    if values["out"] is None and not values["config"]:
        extra["out"] = OUT
    request = make_request(context, values, extra=extra)
    with ConsoleObserver() as observer:
        outcome = run_stability(request, mlp_seeds=mlp_seeds, observer=observer)
    return _show(outcome, as_json=as_json)


def _show(outcome: StabilityOutcome, *, as_json: bool) -> int:
    from geneb_jax.cli.console import note, print_json, print_table

    piped = not sys.stdout.isatty()

    if as_json:
        print_json(
            {
                "tasks": list(outcome.tasks),
                "tables": {
                    table.name: [dict(zip(table.columns, row, strict=True)) for row in table.rows]
                    for table in outcome.tables
                },
                "folder": str(outcome.folder),
            }
        )
    for table in () if as_json else outcome.tables:
        shown = [
            [table.shown(cell, name) for cell, name in zip(row, table.columns, strict=True)]
            for row in table.rows
        ]
        right = [name for place, name in enumerate(table.columns) if table.numeric(place)]
        if piped:
            click.echo(f"# {table.title}")
        print_table(table.columns, shown, title=table.title, right=right)
        click.echo(f"# {table.note}\n")
    problems = {**outcome.runs[0].problems, **outcome.runs[1].problems}
    for what, why in problems.items():
        note(f"failed: {what}: {why}")
    if not outcome.tables:
        note("No two probe settings share a model and a task: there is nothing to compare.")
    click.echo(f"tables: {outcome.folder}", err=as_json)
    return 0 if outcome.complete else 1
