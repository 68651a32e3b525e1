"""``geneb-jax plan``: what run would do, counted, without doing it."""

from __future__ import annotations

from typing import Any

import click

from geneb_jax.cli.run_options import (
    embedding_options,
    make_request,
    place_options,
    probe_options,
    task_options,
)

__all__ = ["command"]


@click.command()
@task_options
@embedding_options
@probe_options
@place_options
@click.option(
    "--measure/--no-measure",
    default=True,
    show_default=True,
    help="Embed a small sample to estimate the time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(context: click.Context, /, measure: bool, as_json: bool, **values: Any) -> int:
    """Show what run would do, and do nothing.

    Counts tasks, rows, distinct sequences and tokens; says how many bytes the embeddings, the
    parameters and (at most, before they are deflated) the kept predictions take, and estimates the
    embedding time from a small sample.

    \b
    Example:
      geneb-jax plan -m kmer-6 --data-dir tasks/
    """
    request = make_request(context, values)

    from geneb_jax.cli.console import counted, note, print_json, print_table
    from geneb_jax.cli.progress import ConsoleObserver
    from geneb_jax.runs.plan import plan_run

    with ConsoleObserver() as observer:
        plan = plan_run(request, observer, measure=measure)
    if as_json:
        print_json(plan.as_dict())
    else:
        note(
            f"{counted(plan.tasks, 'task')} of {plan.suite}: {plan.rows:,} rows, "
            f"{plan.distinct:,} distinct sequences "
            f"({plan.distinct_bases:,} of {plan.bases:,} bases)"
        )
        columns = (
            "to embed",
            "tokens",
            "store",
            "parameters",
            "embedding",
            "units to fit",
            "predictions",
        )
        print_table(
            ("model", *columns),
            [
                (
                    model.model_id,
                    f"{model.missing:,}",
                    None if model.tokens is None else f"{model.tokens:,}",
                    _size(model.store_bytes),
                    None if model.device_bytes is None else _size(model.device_bytes),
                    _time(model.embedding_seconds),
                    model.units,
                    _size(model.predictions_bytes),
                )
                for model in plan.models
            ],
            right=columns,
        )
    for what, why in plan.problems.items():
        note(f"cannot be used: {what}: {why}")
    return 1 if plan.problems else 0


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "not measured"
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {seconds:.0f} s"
