"""``geneb-jax run``: models x tasks to a leaderboard, resumable at any point."""

from __future__ import annotations

from typing import Any

import click

from geneb_jax.cli.run_options import (
    embedding_options,
    make_request,
    part_option,
    place_options,
    probe_options,
    repeated_run,
    scheduler_option,
    task_options,
)
from geneb_jax.cli.run_outcome import show_outcome

__all__ = ["command"]


@click.command()
@task_options
@embedding_options
@probe_options
@place_options
@part_option
@scheduler_option
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
      geneb-jax run -m checkpoints/my-model --data-dir tasks/ --scheduler local:8
      geneb-jax run --config laptop --out laptop
      geneb-jax run --config out/run.json --out again

    Exit codes: 0 ok; 1 some units failed; 2 bad usage or input; 75 interrupted, resumable.
    """
    request = make_request(context, values)

    from geneb_jax.cli.progress import ConsoleObserver
    from geneb_jax.runs.execute import execute

    with ConsoleObserver() as observer:
        outcome = execute(request, observer, repeats=repeated_run(context, values))
    return show_outcome(outcome, as_json=as_json)
