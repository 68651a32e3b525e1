"""``geneb-jax embed``: the first half of run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from geneb_jax.cli.run_options import (
    embedding_options,
    make_request,
    part_option,
    place_options,
    task_options,
)

__all__ = ["command"]


@click.command()
@task_options
@embedding_options
@place_options
@part_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(context: click.Context, /, as_json: bool, **values: Any) -> int:
    """Embed the distinct sequences of chosen tasks into the store.

    What is in the store already is not embedded again; the same command continues a killed one.

    \b
    Example:
      geneb-jax embed -m kmer-6 --data-dir tasks/ --store embeddings/
    """
    request = make_request(context, values)

    from geneb_jax.cli.console import note, print_json, print_table
    from geneb_jax.cli.progress import ConsoleObserver
    from geneb_jax.runs.compiled_programs import keep_compiled_programs
    from geneb_jax.runs.embed_stage import embed_model
    from geneb_jax.runs.executors import SerialExecutor
    from geneb_jax.runs.work import plan_work

    keep_compiled_programs()
    reports: dict[str, dict[str, Any]] = {}
    with ConsoleObserver() as observer:
        work = plan_work(request, observer)
        failed = dict(work.problems)
        for model in work.models:
            embedded = embed_model(work, model, observer, SerialExecutor())
            model.reference.release()
            reports[model.facts.label] = asdict(embedded.report)
            failed |= {task.task_id: why for task, why in embedded.unusable.items()}
    failed |= {task.task_id: why for task, why in work.tables.failures.items()}
    if as_json:
        print_json({"models": reports, "problems": failed})
    else:
        columns = ("embedded", "reused", "tokens", "padding_share", "seconds")
        print_table(
            ("model", *columns),
            [
                (name, *(_cell(report.get(column)) for column in columns))
                for name, report in reports.items()
            ],
            right=columns,
        )
    for label, report in reports.items():
        if report["left_to_others"]:
            note(
                f"{label}: {report['left_to_others']:,} sequences are in the hands of other parts. "
                "If one was lost, run any part again."
            )
    for what, why in failed.items():
        note(f"failed: {what}: {why}")
    return 1 if failed else 0


def _cell(value: object) -> object:
    return f"{value:.3g}" if isinstance(value, float) else value
